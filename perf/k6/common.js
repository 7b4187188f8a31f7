// What the three scripts share: options, messages, and what is counted.
import { Counter, Trend } from "k6/metrics";
import { clearInterval, setInterval, setTimeout } from "k6/timers";

export const url = __ENV.URL || "ws://127.0.0.1:8080";
export const clients = Number(__ENV.CLIENTS || 100);
export const seconds = Number(__ENV.SECONDS || 20);
export const rate = Number(__ENV.RATE || 10);
export const size = Number(__ENV.SIZE || 64);

// All have connected before anybody speaks, and all hear the last words.
const connectSeconds = 2 + clients / 500;
const lastSeconds = 3;

export const delivery = new Trend("delivery_ms", true);
export const sent = new Counter("messages_sent");
export const heard = new Counter("messages_heard");
export const lost = new Counter("messages_lost");
export const wrong = new Counter("messages_wrong");

export const options = {
    scenarios: {
        talk: {
            executor: "per-vu-iterations",
            vus: clients,
            iterations: 1,
            maxDuration: `${Math.ceil(connectSeconds + seconds + lastSeconds + 30)}s`,
        },
    },
    thresholds: {
        checks: ["rate==1"],
        messages_heard: ["count>0"],
        messages_lost: ["count==0"],
        messages_wrong: ["count==0"],
        delivery_ms: ["p(95)<200"],
    },
};

/** A message with number and time; filler makes it `size` characters long. */
export function message(number) {
    const head = `k6 ${number} ${Date.now()} `;
    return head + "x".repeat(Math.max(0, size - head.length));
}

/** Number and time of a message; null if it is none of ours, or was changed. */
export function parse(text) {
    const match = /^k6 (\d+) (\d+) x*$/.exec(text);
    if (match === null) {
        return null;
    }
    const whole = Math.max(size, match[0].indexOf(match[2]) + match[2].length + 1);
    return text.length === whole ? { number: Number(match[1]), time: Number(match[2]) } : null;
}

/** Counts one delivery; `expected` is the next number, and the new one is returned. */
export function receive(text, expected) {
    const parsed = parse(text);
    if (parsed === null) {
        wrong.add(1);
        return expected;
    }
    delivery.add(Date.now() - parsed.time);
    heard.add(1);
    if (parsed.number > expected) {
        lost.add(parsed.number - expected);
    } else if (parsed.number < expected) {
        wrong.add(1);
    }
    return Math.max(expected, parsed.number + 1);
}

/** Calls `say(number)` at the rate, where there is something to say, then `end(count)` when all must have arrived. */
export function talk(say, end) {
    const total = Math.ceil(seconds * rate);
    if (say !== null) {
        setTimeout(() => sayAll(say, total), connectSeconds * 1000);
    }
    setTimeout(() => end(total), (connectSeconds + seconds + lastSeconds) * 1000);
}

function sayAll(say, total) {
    const started = Date.now();
    let number = 0;
    const timer = setInterval(() => {
        // By the clock: a timer that is late does not lower the rate.
        const due = Math.min(total, Math.floor(((Date.now() - started) / 1000) * rate) + 1);
        while (number < due) {
            say(number);
            sent.add(1);
            number += 1;
        }
        if (number === total) {
            clearInterval(timer);
        }
    }, Math.max(1, 500 / rate));
}
