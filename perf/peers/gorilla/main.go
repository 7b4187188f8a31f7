// A broadcast and echo server on gorilla/websocket, in the shape of the package's chat example: a hub, and
// a goroutine for each direction of each client. A message is prepared once for all.
package main

import (
	"log"
	"net/http"
	"os"

	"github.com/gorilla/websocket"
)

type client struct {
	connection *websocket.Conn
	send       chan *websocket.PreparedMessage
}

var upgrader = websocket.Upgrader{
	ReadBufferSize:  1024,
	WriteBufferSize: 1024,
	CheckOrigin:     func(*http.Request) bool { return true },
}

var (
	joins    = make(chan *client)
	leaves   = make(chan *client)
	messages = make(chan *websocket.PreparedMessage, 256)
)

func runHub() {
	members := make(map[*client]bool)
	for {
		select {
		case one := <-joins:
			members[one] = true
		case one := <-leaves:
			if members[one] {
				delete(members, one)
				close(one.send)
			}
		case message := <-messages:
			for one := range members {
				one.send <- message
			}
		}
	}
}

func (one *client) write() {
	failed := false
	for message := range one.send {
		// A client that is gone still takes from its channel, so that the hub never waits for it.
		if !failed && one.connection.WritePreparedMessage(message) != nil {
			failed = true
		}
	}
	one.connection.Close()
}

func broadcast(response http.ResponseWriter, request *http.Request) {
	connection, err := upgrader.Upgrade(response, request, nil)
	if err != nil {
		return
	}
	one := &client{connection, make(chan *websocket.PreparedMessage, 256)}
	go one.write()
	joins <- one
	for {
		kind, payload, err := connection.ReadMessage()
		if err != nil {
			leaves <- one
			return
		}
		message, err := websocket.NewPreparedMessage(kind, payload)
		if err == nil {
			messages <- message
		}
	}
}

func echo(response http.ResponseWriter, request *http.Request) {
	connection, err := upgrader.Upgrade(response, request, nil)
	if err != nil {
		return
	}
	defer connection.Close()
	for {
		kind, payload, err := connection.ReadMessage()
		if err != nil || connection.WriteMessage(kind, payload) != nil {
			return
		}
	}
}

func main() {
	go runHub()
	http.HandleFunc("/broadcast", broadcast)
	http.HandleFunc("/echo", echo)
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Args[1], nil))
}
