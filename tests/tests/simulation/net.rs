//! The world as managers see it: turmoil's network, and clocks and ends of our own.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};
use turmoil::net::{TcpListener, TcpStream};
use vault::world::{Later, Listener, Simulation, Stream};

use crate::stage::{NODES_MAX, below, once_in, stage};

/// Stands in for the machine.
pub struct Simulated;

struct Port(Arc<TcpListener>);

impl Listener for Port {
    fn accept(&self) -> Later<io::Result<(Box<dyn Stream>, SocketAddr)>> {
        let listener = Arc::clone(&self.0);
        Box::pin(async move {
            let (stream, from) = listener.accept().await?;
            stage().note(|| format!("accept {from}"));
            let stream: Box<dyn Stream> = Box::new(stream);
            Ok((stream, from))
        })
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }
}

impl Simulation for Simulated {
    fn connect(&self, addr: SocketAddr) -> Later<io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            if !stage().may_dial(addr) {
                // It would go on for ever in this very moment.
                std::future::pending::<()>().await;
            }
            let dialled = TcpStream::connect(addr).await;
            stage().note(|| format!("dial {addr}: {}", dialled.is_ok()));
            let stream: Box<dyn Stream> = Box::new(dialled?);
            Ok(stream)
        })
    }

    fn listen(&self, addr: SocketAddr) -> Later<io::Result<Arc<dyn Listener>>> {
        Box::pin(async move {
            let listener: Arc<dyn Listener> =
                Arc::new(Port(Arc::new(TcpListener::bind(addr).await?)));
            Ok(listener)
        })
    }

    fn steady(&self) -> Duration {
        Duration::from_nanos(fate::now())
    }

    fn flush_takes(&self) -> Duration {
        let Some(node) = stage().current() else { return Duration::ZERO };
        let most = stage().spots[node].flush_ms.load(Ordering::Relaxed);
        // Now and then a disk is busy.
        Duration::from_millis(if once_in(50) { 10 * most } else { below(most + 1) })
    }

    fn end(&self, code: i32) {
        stage().note(|| format!("ends with {code}"));
        if let Some(node) = stage().current() {
            stage().spots[node].has_ended.store(true, Ordering::Relaxed);
        }
    }
}

/// Learns from turmoil's spans which node runs, and shows the nodes' own words if somebody wants them.
pub struct Watcher {
    pub is_told: bool,
}

/// What a span or an event says.
#[derive(Default)]
struct Said {
    name: Option<usize>,
    text: String,
}

impl Visit for Said {
    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "name" {
            self.name = value.strip_prefix('m').and_then(|number| number.parse().ok());
        }
        self.record_debug(field, &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        self.text += &format!(" {}={value:?}", field.name());
    }
}

impl Subscriber for Watcher {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.is_span() {
            return metadata.name() == "node" && metadata.target().starts_with("turmoil");
        }
        self.is_told
            && *metadata.level() <= Level::INFO
            && !metadata.target().starts_with("turmoil")
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut said = Said::default();
        span.record(&mut said);
        Id::from_u64(said.name.map_or(NODES_MAX, |node| node) as u64 + 1)
    }

    fn record(&self, _span: &Id, _values: &Record<'_>) {}

    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut said = Said::default();
        event.record(&mut said);
        stage().tell(&format!(
            "          {} {}{}",
            stage().current().unwrap_or(NODES_MAX),
            event.metadata().level(),
            said.text
        ));
    }

    fn enter(&self, span: &Id) {
        let node = usize::try_from(span.into_u64() - 1).expect("it is small");
        stage().enter(Some(node).filter(|node| *node < NODES_MAX));
    }

    fn exit(&self, _span: &Id) {
        stage().enter(None);
    }
}
