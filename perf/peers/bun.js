// A broadcast and echo server on Bun's own WebSocket server.
Bun.serve({
    port: Number(process.argv[2]),
    hostname: "127.0.0.1",
    fetch(request, server) {
        const isEcho = new URL(request.url).pathname.startsWith("/echo");
        return server.upgrade(request, { data: { isEcho } }) ? undefined : new Response("WebSocket only", { status: 426 });
    },
    websocket: {
        perMessageDeflate: false,
        maxPayloadLength: 1 << 24,
        backpressureLimit: 1 << 30,
        idleTimeout: 0,
        open(socket) {
            if (!socket.data.isEcho) {
                socket.subscribe("all");
            }
        },
        message(socket, message) {
            if (socket.data.isEcho) {
                socket.send(message);
            } else {
                // To everybody but the sender, which gets its own besides.
                socket.publish("all", message);
                socket.send(message);
            }
        },
    },
});
