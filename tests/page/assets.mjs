// Given to Node before a test: makes `/assets/…` the files in `static`.

import { register } from "node:module";

register("./resolve.mjs", import.meta.url);
