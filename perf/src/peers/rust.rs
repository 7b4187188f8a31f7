//! The peers that are crates: minimal servers on tokio-tungstenite and fastwebsockets, on one thread, as one
//! who knows them would write them for speed. A message is shared by all receivers; what waits for a receiver
//! is written together.

use std::cell::RefCell;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;

use bytes::Bytes;
use fastwebsockets::{
    FragmentCollectorRead, Frame, OpCode, Payload, Role, WebSocketError, WebSocketWrite,
    after_handshake_split,
};
use futures_util::{SinkExt, StreamExt};
use slab::Slab;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufWriter};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role as TungsteniteRole, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

const BACKLOG: u32 = 4096;
/// Messages written before the next flush.
const WRITTEN_TOGETHER: usize = 128;
/// Its default of 128 KiB is allocated anew while a message still refers to the last one.
const TUNGSTENITE_READ_BYTES: usize = 8 * 1024;
const WRITE_BUFFER_BYTES: usize = 16 * 1024;

/// Which crate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Library {
    TokioTungstenite,
    Fastwebsockets,
}

#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Options {
    /// Which crate.
    #[arg(value_enum)]
    library: Library,
    /// The port on 127.0.0.1.
    #[arg(long)]
    port: u16,
}

/// Serves until it is killed.
///
/// # Errors
/// Those of the kernel.
pub(crate) fn run(options: &Options) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
    let serve = async {
        let socket = TcpSocket::new_v4()?;
        socket.set_reuseaddr(true)?;
        socket.bind(SocketAddr::from(([127, 0, 0, 1], options.port)))?;
        let listener = socket.listen(BACKLOG)?;
        tokio::task::LocalSet::new().run_until(accept(listener, options.library)).await
    };
    runtime
        .and_then(|runtime| runtime.block_on(serve))
        .map_err(|error| format!("{:?} on port {}: {error}", options.library, options.port))
}

async fn accept(listener: TcpListener, library: Library) -> io::Result<()> {
    let (messages, frames) = (Members::default(), Members::default());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (messages, frames) = (Rc::clone(&messages), Rc::clone(&frames));
        tokio::task::spawn_local(async move {
            // A client that breaks off is nobody's business here.
            match library {
                Library::TokioTungstenite => drop(tungstenite_client(stream, messages).await),
                Library::Fastwebsockets => drop(fastwebsockets_client(stream, frames).await),
            }
        });
    }
}

/// Everybody's queue.
type Members<T> = Rc<RefCell<Slab<UnboundedSender<T>>>>;

fn tell_all<T: Clone>(members: &Members<T>, message: &T) {
    for (_, member) in members.borrow().iter() {
        // A member that is leaving misses it.
        let _ = member.send(message.clone());
    }
}

/// The handshake of both: reads a head, answers it, and returns whether `/echo` was asked for.
async fn shake_hands(stream: &mut TcpStream) -> io::Result<bool> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if stream.read_buf(&mut head).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let head = String::from_utf8_lossy(&head);
    let key = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("sec-websocket-key").then_some(value.trim())
    });
    let accept = derive_accept_key(key.unwrap_or_default().as_bytes());
    let response = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    );
    stream.write_all(response.as_bytes()).await?;
    Ok(head.starts_with("GET /echo"))
}

async fn tungstenite_client(mut stream: TcpStream, members: Members<Message>) -> Result<(), Error> {
    let is_echo = shake_hands(&mut stream).await?;
    let config = WebSocketConfig::default().read_buffer_size(TUNGSTENITE_READ_BYTES);
    let socket = WebSocketStream::from_raw_socket(stream, TungsteniteRole::Server, Some(config)).await;
    let (mut sink, mut source) = socket.split();
    if is_echo {
        while let Some(message) = source.next().await {
            let message = message?;
            if message.is_text() || message.is_binary() {
                sink.send(message).await?;
            }
        }
        return Ok(());
    }
    let (sender, mut queue) = unbounded_channel::<Message>();
    let id = members.borrow_mut().insert(sender);
    tokio::task::spawn_local(async move {
        let mut some = Vec::with_capacity(WRITTEN_TOGETHER);
        while queue.recv_many(&mut some, WRITTEN_TOGETHER).await > 0 {
            for message in some.drain(..) {
                sink.feed(message).await?;
            }
            sink.flush().await?;
        }
        Ok::<(), Error>(())
    });
    while let Some(Ok(message)) = source.next().await {
        if message.is_text() || message.is_binary() {
            tell_all(&members, &message);
        }
    }
    members.borrow_mut().remove(id);
    Ok(())
}

/// A frame that is shared by all receivers.
#[derive(Clone)]
struct SharedFrame {
    opcode: OpCode,
    payload: Bytes,
}

async fn fastwebsockets_client(
    mut stream: TcpStream,
    members: Members<SharedFrame>,
) -> Result<(), WebSocketError> {
    let is_echo = shake_hands(&mut stream).await?;
    let (reader, writer) = stream.into_split();
    let writer = BufWriter::with_capacity(WRITE_BUFFER_BYTES, writer);
    let (reader, mut writer) = after_handshake_split(reader, writer, Role::Server);
    let mut reader = FragmentCollectorRead::new(reader);
    if is_echo {
        // Only pongs and close frames come here, which the load does not wait for on this path.
        let answer = async |_frame: Frame<'_>| Ok::<(), WebSocketError>(());
        loop {
            let frame = reader.read_frame(&mut |frame| answer(frame)).await?;
            match frame.opcode {
                OpCode::Text | OpCode::Binary => {
                    writer.write_frame(Frame::new(true, frame.opcode, None, frame.payload)).await?;
                    writer.flush().await?;
                }
                OpCode::Close => return Ok(()),
                _ => {}
            }
        }
    }
    let (sender, queue) = unbounded_channel();
    let id = members.borrow_mut().insert(sender.clone());
    tokio::task::spawn_local(write_frames(queue, writer));
    let answer = async |frame: Frame<'_>| {
        let payload = Bytes::copy_from_slice(&frame.payload);
        // A client that is leaving needs no answer.
        let _ = sender.send(SharedFrame { opcode: frame.opcode, payload });
        Ok::<(), WebSocketError>(())
    };
    while let Ok(frame) = reader.read_frame(&mut |frame| answer(frame)).await {
        match frame.opcode {
            OpCode::Text | OpCode::Binary => {
                let payload = Bytes::copy_from_slice(&frame.payload);
                tell_all(&members, &SharedFrame { opcode: frame.opcode, payload });
            }
            OpCode::Close => break,
            _ => {}
        }
    }
    members.borrow_mut().remove(id);
    Ok(())
}

async fn write_frames(
    mut queue: UnboundedReceiver<SharedFrame>,
    mut writer: WebSocketWrite<BufWriter<OwnedWriteHalf>>,
) -> Result<(), WebSocketError> {
    let mut some = Vec::with_capacity(WRITTEN_TOGETHER);
    while queue.recv_many(&mut some, WRITTEN_TOGETHER).await > 0 {
        for SharedFrame { opcode, payload } in some.drain(..) {
            writer.write_frame(Frame::new(true, opcode, None, Payload::Borrowed(&payload))).await?;
        }
        writer.flush().await?;
    }
    Ok(())
}
