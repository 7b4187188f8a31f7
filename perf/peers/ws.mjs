// A broadcast and echo server on the `ws` package of npm.
import { WebSocketServer } from "ws";
import { createServer } from "node:http";

const members = new Set();
const server = createServer();
const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false, maxPayload: 1 << 24 });

server.on("upgrade", (request, socket, head) => {
    sockets.handleUpgrade(request, socket, head, (client) => {
        if (request.url.startsWith("/echo")) {
            client.on("message", (data, isBinary) => client.send(data, { binary: isBinary }));
        } else {
            members.add(client);
            client.on("close", () => members.delete(client));
            client.on("message", (data, isBinary) => {
                for (const member of members) {
                    member.send(data, { binary: isBinary });
                }
            });
        }
        client.on("error", () => client.terminate());
    });
});
server.listen({ port: Number(process.argv[2]), host: "127.0.0.1", backlog: 4096 });
