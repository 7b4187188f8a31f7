// The first client speaks, all hear it.
import { check } from "k6";
import exec from "k6/execution";
import { WebSocket } from "k6/websockets";
import { lost, receive, message, talk, url } from "./common.js";

export { options } from "./common.js";

export default function () {
    const speaks = exec.vu.idInTest === 1;
    const socket = new WebSocket(`${url}/broadcast/k6`);
    let expected = 0;
    let isOver = false;
    socket.onmessage = (event) => {
        expected = receive(event.data, expected);
    };
    socket.onerror = (event) => check(event, { "no error": () => false });
    socket.onclose = () => check(isOver, { "stays connected": (over) => over });
    socket.onopen = () => talk(speaks ? (number) => socket.send(message(number)) : null, end);

    function end(total) {
        isOver = true;
        check(expected, { "everything was heard": (count) => count === total });
        lost.add(total - expected);
        socket.close();
    }
}
