//! Answers that come one by one: log lines, events, audit records.

use std::time::Duration;

use proto::v1;
use proto::v1::audit_client::AuditClient;
use proto::v1::events_client::EventsClient;
use tokio::time::timeout;
use tonic::Streaming;

use super::CallError;
use super::Client;
use super::convert;
use super::translate;
use crate::host::Host;
use crate::limits::CALL_DEADLINE;
use crate::objects::AuditRecord;
use crate::objects::Event;

/// A stream of messages `W`, each of which is read as a `T`.
pub(crate) struct Answers<W, T> {
    host: Host,
    stream: Streaming<W>,
    patience: Duration,
    read: fn(W) -> Result<T, CallError>,
}

impl<W, T> Answers<W, T> {
    pub(super) fn new(
        host: &Host,
        stream: Streaming<W>,
        follow: bool,
        read: fn(W) -> Result<T, CallError>,
    ) -> Self {
        // Whoever follows may wait for ever.
        let patience = if follow { Duration::MAX } else { CALL_DEADLINE };
        Self { host: host.clone(), stream, patience, read }
    }

    /// The next one; none at the end.
    pub(crate) async fn next(&mut self) -> Result<Option<T>, CallError> {
        match timeout(self.patience, self.stream.message()).await {
            Ok(Ok(message)) => message.map(self.read).transpose(),
            Ok(Err(status)) => Err(translate(&self.host, &status)),
            Err(_) => Err(CallError::Silent { host: self.host.clone(), patience: self.patience }),
        }
    }
}

impl Client {
    /// Events behind an index, or only what comes.
    pub(crate) async fn events(
        &self,
        after: Option<u64>,
        only_past: bool,
    ) -> Result<Answers<v1::Event, Event>, CallError> {
        let mut events = EventsClient::new(self.channel.clone());
        let stream = self.ask(events.watch(v1::WatchEventsRequest { after, only_past })).await?;
        Ok(Answers::new(&self.host, stream, true, convert::event))
    }

    /// The last records; no limit for the daemon's own.
    pub(crate) async fn audit(
        &self,
        limit: Option<u32>,
        follow: bool,
    ) -> Result<Answers<v1::AuditRecord, AuditRecord>, CallError> {
        let mut audit = AuditClient::new(self.channel.clone());
        let request = v1::TailAuditRequest { limit: limit.unwrap_or(0), follow };
        let stream = self.ask(audit.tail(request)).await?;
        Ok(Answers::new(&self.host, stream, follow, convert::audit_record))
    }
}
