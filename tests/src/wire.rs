//! Calls on a node's socket in bytes: what no honest client sends, and more calls than one would make.

use std::path::PathBuf;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use prost::bytes::{Buf, BufMut};
use tokio::net::UnixStream;
use tokio::runtime::Runtime;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Request, Status, Streaming};

use crate::node::Node;

/// One connection to a node's socket.
pub struct Wire {
    runtime: Runtime,
    channel: Channel,
}

/// Answers that come one after the other.
pub struct Stream<'a> {
    wire: &'a Wire,
    answers: Streaming<Vec<u8>>,
}

impl Wire {
    /// Connects to the daemon of a node.
    pub fn of(node: &Node) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.expect("threads can be had");
        let channel = runtime.block_on(connect(node.socket())).expect("the daemon serves");
        Self { runtime, channel }
    }

    /// The same without asking whether it serves: it connects with the first call, and again when it broke.
    pub fn lazy(node: &Node) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("descriptors can be had");
        let socket = node.socket();
        let connector = tower::service_fn(move |_: Uri| {
            let socket = socket.clone();
            async move { UnixStream::connect(socket).await.map(TokioIo::new) }
        });
        let endpoint = Endpoint::from_static("http://cofferd");
        let channel = runtime.block_on(async { endpoint.connect_with_connector_lazy(connector) });
        Self { runtime, channel }
    }

    /// Makes a call that may take so long. `None` if there was no answer.
    pub fn call_within(
        &self,
        patience: Duration,
        path: &str,
        message: Vec<u8>,
    ) -> Option<Result<Vec<u8>, Status>> {
        self.runtime.block_on(async {
            let call = async {
                let mut grpc = self.ready().await?;
                let path = PathAndQuery::try_from(path).expect("this is a path");
                let answer = grpc.unary(Request::new(message), path, Bytes).await?;
                Ok(answer.into_inner())
            };
            tokio::time::timeout(patience, call).await.ok()
        })
    }

    /// Makes a call with one message and gives its answer.
    pub fn call(&self, path: &str, message: Vec<u8>) -> Result<Vec<u8>, Status> {
        self.runtime.block_on(async {
            let mut grpc = self.ready().await?;
            let path = PathAndQuery::try_from(path).expect("this is a path");
            let answer = grpc.unary(Request::new(message), path, Bytes).await?;
            Ok(answer.into_inner())
        })
    }

    /// The code that a call ends with.
    pub fn code(&self, path: &str, message: Vec<u8>) -> Code {
        self.call(path, message).map_or_else(|status| status.code(), |_| Code::Ok)
    }

    /// Makes a call with many answers.
    pub fn stream(&self, path: &str, message: Vec<u8>) -> Result<Stream<'_>, Status> {
        let answers = self.runtime.block_on(async {
            let mut grpc = self.ready().await?;
            let path = PathAndQuery::try_from(path).expect("this is a path");
            grpc.server_streaming(Request::new(message), path, Bytes).await
        });
        Ok(Stream { wire: self, answers: answers?.into_inner() })
    }

    async fn ready(&self) -> Result<Grpc<Channel>, Status> {
        let grpc = Grpc::new(self.channel.clone()).max_decoding_message_size(usize::MAX);
        let mut grpc = grpc.max_encoding_message_size(usize::MAX);
        grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
        Ok(grpc)
    }
}

impl Stream<'_> {
    /// The next answer; `None` at the end.
    pub fn message(&mut self) -> Result<Option<Vec<u8>>, Status> {
        self.wire.runtime.block_on(self.answers.message())
    }
}

async fn connect(socket: PathBuf) -> Result<Channel, tonic::transport::Error> {
    // The name is for the transport alone; the socket's path says where it is.
    let endpoint = Endpoint::from_static("http://cofferd");
    let connector = tower::service_fn(move |_: Uri| {
        let socket = socket.clone();
        async move { UnixStream::connect(socket).await.map(TokioIo::new) }
    });
    endpoint.connect_with_connector(connector).await
}

/// Messages as they are.
#[derive(Clone, Copy)]
pub(crate) struct Bytes;

impl Codec for Bytes {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Bytes {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        let mut message = vec![0; buffer.remaining()];
        buffer.copy_to_slice(&mut message);
        Ok(Some(message))
    }
}

/// A number of protobuf.
pub fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let seven = u8::try_from(number & 0x7f).expect("seven bits");
        number >>= 7;
        if number == 0 {
            bytes.push(seven);
            return bytes;
        }
        bytes.push(seven | 0x80);
    }
}

/// A field of protobuf that holds bytes, a text or a message.
pub fn field(number: u64, content: &[u8]) -> Vec<u8> {
    let length = u64::try_from(content.len()).expect("it fits memory");
    [varint(number << 3 | 2), varint(length), content.to_vec()].concat()
}

/// A field that holds a number.
pub fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}
