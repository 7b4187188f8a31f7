// Every client sends, and has to get back what it sent.
import { check } from "k6";
import { WebSocket } from "k6/websockets";
import { lost, receive, message, talk, url } from "./common.js";

export { options } from "./common.js";

export default function () {
    const socket = new WebSocket(`${url}/echo`);
    let expected = 0;
    let isOver = false;
    socket.onmessage = (event) => {
        expected = receive(event.data, expected);
    };
    socket.onerror = (event) => check(event, { "no error": () => false });
    socket.onclose = () => check(isOver, { "stays connected": (over) => over });
    socket.onopen = () => {
        talk(
            (number) => socket.send(message(number)),
            (total) => {
                isOver = true;
                check(expected, { "everything came back": (count) => count === total });
                lost.add(total - expected);
                socket.close();
            },
        );
    };
}
