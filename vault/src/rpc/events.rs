//! `Events`: what happens to objects, as it happens.

use std::pin::Pin;

use futures_util::Stream;
use proto::v1;
use proto::v1::events_server::Events as EventsService;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use vault_core::event::{Event, EventAction};

use super::status;
use crate::daemon::Daemon;
use crate::events::{Events, EventsGone};

/// Events that wait for a slow watcher; the ring remembers the rest.
const WAITING_MAX: usize = 256;

#[tonic::async_trait]
impl EventsService for Daemon {
    type WatchStream = Pin<Box<dyn Stream<Item = Result<v1::Event, Status>> + Send>>;

    async fn watch(
        &self,
        request: Request<v1::WatchEventsRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        let (manager, view) = self.view().await.map_err(|error| status::of_call(&error))?;
        let events = manager.consensus().events().clone();
        let v1::WatchEventsRequest { after, only_past } = request.into_inner();
        let after = match after {
            Some(0) => events.oldest(),
            Some(index) => index,
            None => view.state.index(),
        };
        let first = events.since(after, WAITING_MAX).map_err(gone)?;
        let (sender, waiting) = mpsc::channel(WAITING_MAX);
        let until = only_past.then(|| view.state.index());
        tokio::spawn(send(events, after, first, until, sender));
        Ok(Response::new(Box::pin(ReceiverStream::new(waiting))))
    }
}

fn gone(error: EventsGone) -> Status {
    Status::out_of_range(error.to_string())
}

/// Sends up to an index, or until the watcher is gone, or so slow that what it has not seen is forgotten.
async fn send(
    events: Events,
    mut after: u64,
    mut batch: Vec<Event>,
    until: Option<u64>,
    watcher: mpsc::Sender<Result<v1::Event, Status>>,
) {
    let mut applied = events.applied();
    loop {
        for event in batch {
            after = event.index;
            if watcher.send(Ok(message(event))).await.is_err() {
                return;
            }
        }
        if until.is_some_and(|until| after >= until) {
            return;
        }
        let next = tokio::select! {
            next = applied.wait_for(|index| *index > after) => next.map(|index| *index),
            () = watcher.closed() => return,
        };
        let Ok(index) = next else { return };
        batch = match events.since(after, WAITING_MAX) {
            Ok(batch) => batch,
            Err(error) => {
                // The watcher is told before it is let go; if it is gone already, nobody is.
                watcher.send(Err(gone(error))).await.ok();
                return;
            }
        };
        if batch.is_empty() {
            after = index;
        }
    }
}

fn message(event: Event) -> v1::Event {
    let action = match event.action {
        EventAction::Create => "create",
        EventAction::Update => "update",
        EventAction::Remove => "remove",
    };
    v1::Event {
        index: event.index,
        at: i64::try_from(event.at.nanos()).unwrap_or(i64::MAX),
        kind: event.kind.to_string(),
        action: action.to_owned(),
        id: event.id.to_string(),
        name: event.name.to_string(),
    }
}
