// The first client speaks in a chat room, all hear it, in lines such as `12:34:56 k6-1 say: …`.
import { check } from "k6";
import exec from "k6/execution";
import { WebSocket } from "k6/websockets";
import { lost, receive, message, talk, url } from "./common.js";

export { options } from "./common.js";

// Joins and leaves have the same shape; only what begins as a message of ours does is one.
const SAID = /^\d\d:\d\d:\d\d k6-1 say: (k6 .*)$/s;

export default function () {
    const id = exec.vu.idInTest;
    const socket = new WebSocket(`${url}/k6?name=k6-${id}`);
    let expected = 0;
    let isOver = false;
    socket.onmessage = (event) => {
        // Joins, leaves and counts are the room's own lines.
        const said = SAID.exec(event.data);
        if (said !== null) {
            expected = receive(said[1], expected);
        }
    };
    socket.onerror = (event) => check(event, { "no error": () => false });
    socket.onclose = () => check(isOver, { "stays connected": (over) => over });
    socket.onopen = () => talk(id === 1 ? (number) => socket.send(message(number)) : null, end);

    function end(total) {
        isOver = true;
        check(expected, { "everything was heard": (count) => count === total });
        lost.add(total - expected);
        socket.close();
    }
}
