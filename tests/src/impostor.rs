//! Somebody who has the files of a node, and calls others in its name: with its certificate and key, and with
//! whatever it likes to say.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use prost::Message;
use tokio::runtime::Runtime;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::{AsciiMetadataKey, AsciiMetadataValue};
use tonic::transport::Channel;
use tonic::{Request, Status};
use vault::disk::diskkey::{self, DiskKey};
use vault::disk::identity;
use vault::disk::node::{self, Membership};
use vault::tls::{Credentials, Dialer, Lane, Tls};

use crate::node::Node;
use crate::wire::Bytes;

/// How long any of its calls may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a call between managers says of itself.
#[derive(Clone, Debug)]
pub struct Envelope {
    pub cluster: String,
    pub epoch: String,
    pub from: String,
    pub to: String,
}

/// A node's identity in other hands.
pub struct Impostor {
    own: Membership,
    dialer: Dialer,
    runtime: Runtime,
}

/// The certificate, key and roots of a node, as its files hold them now.
pub fn credentials(node: &Node) -> Credentials {
    let read = |name| fs::read(node.state_dir().join("cluster").join(name)).expect("it is there");
    let disk_key = DiskKey::parse(&read(diskkey::NAME)).expect("it is not locked");
    identity::parse(disk_key.expose(), &read(identity::NAME)).expect("it is whole")
}

/// Who a manager is: as its own record says.
pub fn membership(node: &Node) -> Membership {
    let read = |name| fs::read(node.state_dir().join("cluster").join(name)).expect("it is there");
    let disk_key = DiskKey::parse(&read(diskkey::NAME)).expect("it is not locked");
    Membership::parse(disk_key.expose(), &read(node::NAME)).expect("it is whole")
}

impl Impostor {
    /// Takes the identity of a node, as its files hold it now.
    pub fn of(node: &Node) -> Self {
        let tls = Tls::new(&credentials(node)).expect("it can be used");
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).enable_all().build().expect("threads can be had");
        Self { own: membership(node), dialer: Dialer::new(Arc::new(tls)), runtime }
    }

    /// Its Raft ID.
    pub fn raft_id(&self) -> u64 {
        self.own.raft_id
    }

    /// Its node ID.
    pub fn id(&self) -> String {
        self.own.node.to_string()
    }

    /// What its calls to a manager would say if it were honest.
    pub fn envelope(&self, to: &Node) -> Envelope {
        Envelope {
            cluster: self.own.cluster.to_string(),
            epoch: self.own.recovery_epoch.to_string(),
            from: self.own.raft_id.to_string(),
            to: membership(to).raft_id.to_string(),
        }
    }

    fn channel(&self, to: &Node) -> Channel {
        let _guard = self.runtime.enter();
        let addr = to.address().expect("it has one");
        self.dialer.channel(addr, &membership(to).node.to_string(), Lane::Calls)
    }

    /// Makes a call to a manager.
    pub fn call(&self, to: &Node, path: &str, message: &impl Message) -> Result<Vec<u8>, Status> {
        self.call_as(to, &self.envelope(to), path, message)
    }

    /// The same with any envelope.
    pub fn call_as(
        &self,
        to: &Node,
        envelope: &Envelope,
        path: &str,
        message: &impl Message,
    ) -> Result<Vec<u8>, Status> {
        let mut request = Request::new(message.encode_to_vec());
        put(&mut request, envelope);
        self.bounded(async {
            let mut grpc = ready(self.channel(to)).await?;
            Ok(grpc.unary(request, way(path), Bytes).await?.into_inner())
        })
    }

    /// Sends several messages with one call that has one answer.
    pub fn send(&self, to: &Node, path: &str, messages: Vec<Vec<u8>>) -> Result<Vec<u8>, Status> {
        let mut request = Request::new(tokio_stream::iter(messages));
        put(&mut request, &self.envelope(to));
        self.bounded(async {
            let mut grpc = ready(self.channel(to)).await?;
            Ok(grpc.client_streaming(request, way(path), Bytes).await?.into_inner())
        })
    }

    /// The same for a call with an answer for each message: gives those that came before the call ended.
    pub fn exchange(
        &self,
        to: &Node,
        path: &str,
        messages: Vec<Vec<u8>>,
    ) -> Result<Vec<Vec<u8>>, Status> {
        let mut request = Request::new(tokio_stream::iter(messages));
        put(&mut request, &self.envelope(to));
        self.bounded(async {
            let mut grpc = ready(self.channel(to)).await?;
            let mut answers = grpc.streaming(request, way(path), Bytes).await?.into_inner();
            let mut all = Vec::new();
            while let Some(answer) = answers.message().await? {
                all.push(answer);
            }
            Ok(all)
        })
    }

    fn bounded<T>(&self, call: impl Future<Output = Result<T, Status>>) -> Result<T, Status> {
        let late = |_| Status::deadline_exceeded("no answer in time");
        self.runtime
            .block_on(async { tokio::time::timeout(PATIENCE, call).await.map_err(late).flatten() })
    }
}

async fn ready(channel: Channel) -> Result<Grpc<Channel>, Status> {
    let grpc = Grpc::new(channel).max_decoding_message_size(usize::MAX);
    let mut grpc = grpc.max_encoding_message_size(usize::MAX);
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    Ok(grpc)
}

fn way(path: &str) -> PathAndQuery {
    PathAndQuery::try_from(path).expect("this is a path")
}

fn put<T>(request: &mut Request<T>, envelope: &Envelope) {
    let Envelope { cluster, epoch, from, to } = envelope;
    for (key, value) in [("cluster", cluster), ("epoch", epoch), ("from", from), ("to", to)] {
        let key = AsciiMetadataKey::from_bytes(format!("coffer-{key}").as_bytes());
        let value = AsciiMetadataValue::try_from(value.as_str()).expect("it is plain text");
        request.metadata_mut().insert(key.expect("it is a key"), value);
    }
}
