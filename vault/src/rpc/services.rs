//! `Services`: made, listed, looked at, removed, and what their tasks do and write.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use proto::v1::services_server::Services;
use proto::v1::{
    CreateServiceRequest, CreateServiceResponse, InspectServiceRequest, InspectServiceResponse,
    ListServicesRequest, ListServicesResponse, ListTasksRequest, ListTasksResponse, LogStream,
    LogsChunk, LogsRequest, RemoveServiceRequest, RemoveServiceResponse,
};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};
use vault_core::command::{ObjectKind, Refusal};
use vault_core::id::{ServiceId, TaskId};
use vault_core::service::Service;
use vault_core::state::State;
use vault_core::task::{Task, TaskState};

use super::convert::{self, needed};
use super::{fresh, status};
use crate::agent::{LogLine, Logs};
use crate::daemon::Daemon;
use crate::manager::{Changed, Manager};
use crate::raft::View;
use crate::runner::output::Stream as TaskStream;

/// Lines that wait for a slow reader; the ring keeps the rest.
const CHUNKS_WAITING_MAX: usize = 256;

fn find<'a>(view: &'a View, reference: &str) -> Result<&'a Arc<Service>, Status> {
    view.state.services().find(reference).map_err(|failed| {
        status::of_refusal(&Refusal::lookup(ObjectKind::Service, reference, failed))
    })
}

fn running(state: &State, service: &Service) -> u64 {
    let tasks = state.tasks().of_service(service.id);
    let running = tasks.filter(|task| task.status.state == TaskState::Running);
    u64::try_from(running.count()).unwrap_or(u64::MAX)
}

fn hostname(state: &State, task: &Task) -> String {
    state.node(task.node).map_or_else(String::new, |node| node.hostname.clone())
}

#[tonic::async_trait]
impl Services for Daemon {
    type LogsStream = Pin<Box<dyn Stream<Item = Result<LogsChunk, Status>> + Send>>;

    async fn create(
        &self,
        request: Request<CreateServiceRequest>,
    ) -> Result<Response<CreateServiceResponse>, Status> {
        let asked = convert::asked(&request, &request.get_ref().request_id);
        let checked = asked.and_then(|asked| {
            Ok((asked, convert::service_spec(needed("spec", request.into_inner().spec)?)?))
        });
        let (asked, spec) = checked.map_err(|error| status::of_request(&error))?;
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        let made = manager.create_service(asked, spec).await;
        let Changed { index, objects, .. } =
            made.map_err(|error| status::of_call(&error.into()))?;
        let id = objects.first().map(ToString::to_string).unwrap_or_default();
        Ok(convert::touching(CreateServiceResponse { id, index }, objects))
    }

    async fn list(
        &self,
        request: Request<ListServicesRequest>,
    ) -> Result<Response<ListServicesResponse>, Status> {
        let freshness = fresh::of(&request);
        let request = request.into_inner();
        let (after, limit) = convert::page(request.limit, &request.after);
        let view = self.view_as(freshness).await;
        let (_, view) = view.map_err(|error| status::of_call(&error))?;
        let mut page = convert::Page::of(limit);
        for service in view.state.services().page(after.as_ref(), usize::MAX) {
            let message = convert::service(service, running(&view.state, service));
            if !page.push(service.spec.name.as_str(), message) {
                break;
            }
        }
        let (services, next) = page.finish();
        Ok(Response::new(ListServicesResponse { services, next, index: view.state.index() }))
    }

    async fn inspect(
        &self,
        request: Request<InspectServiceRequest>,
    ) -> Result<Response<InspectServiceResponse>, Status> {
        let view = self.view_as(fresh::of(&request)).await;
        let (_, view) = view.map_err(|error| status::of_call(&error))?;
        let service = find(&view, &request.into_inner().reference)?;
        let service = convert::service(service, running(&view.state, service));
        let index = view.state.index();
        Ok(Response::new(InspectServiceResponse { service: Some(service), index }))
    }

    async fn tasks(
        &self,
        request: Request<ListTasksRequest>,
    ) -> Result<Response<ListTasksResponse>, Status> {
        let view = self.view_as(fresh::of(&request)).await;
        let (_, view) = view.map_err(|error| status::of_call(&error))?;
        let service = find(&view, &request.into_inner().reference)?;
        let mut tasks: Vec<_> = view.state.tasks().of_service(service.id).collect();
        // By slot, the newest first: as they are shown.
        tasks.sort_by_key(|task| (task.slot, std::cmp::Reverse((task.created_index, task.id))));
        let command = &service.spec.command;
        let task = |task: &Arc<Task>| convert::task(task, &hostname(&view.state, task), command);
        Ok(Response::new(ListTasksResponse {
            tasks: tasks.into_iter().map(task).collect(),
            service_name: service.spec.name.to_string(),
            index: view.state.index(),
        }))
    }

    async fn remove(
        &self,
        request: Request<RemoveServiceRequest>,
    ) -> Result<Response<RemoveServiceResponse>, Status> {
        let asked = convert::asked(&request, &[]).map_err(|error| status::of_request(&error))?;
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        let removed = manager.remove_service(asked, &request.into_inner().reference).await;
        let Changed { index, objects, .. } =
            removed.map_err(|error| status::of_call(&error.into()))?;
        Ok(convert::touching(RemoveServiceResponse { index }, objects))
    }

    async fn logs(
        &self,
        request: Request<LogsRequest>,
    ) -> Result<Response<Self::LogsStream>, Status> {
        let LogsRequest { reference, follow, tail } = request.into_inner();
        let (manager, view) = self.view().await.map_err(|error| status::of_call(&error))?;
        let service = find(&view, &reference)?.id;
        let tail = tail.map_or(usize::MAX, |lines| usize::try_from(lines).unwrap_or(usize::MAX));
        let (chunks, waiting) = mpsc::channel(CHUNKS_WAITING_MAX);
        let reader = Reader { manager, logs: self.logs(), service, chunks };
        tokio::spawn(reader.send(tail, follow));
        Ok(Response::new(Box::pin(ReceiverStream::new(waiting))))
    }
}

/// Sends a service's output to one caller.
struct Reader {
    manager: Arc<Manager>,
    logs: Logs,
    service: ServiceId,
    chunks: mpsc::Sender<Result<LogsChunk, Status>>,
}

impl Reader {
    /// Ends when all is sent, when the caller is gone, or when the service is.
    async fn send(self, tail: usize, follow: bool) {
        let mut changes = self.logs.changes();
        let mut positions = BTreeMap::new();
        loop {
            changes.borrow_and_update();
            if self.round(tail, &mut positions).await.is_none() || !follow {
                return;
            }
            tokio::select! {
                changed = changes.changed() => if changed.is_err() { return },
                () = self.chunks.closed() => return,
            }
        }
    }

    /// Sends what is new, oldest first. `None` when there is nobody or nothing to send any more.
    async fn round(&self, tail: usize, positions: &mut BTreeMap<TaskId, u64>) -> Option<()> {
        let view = self.manager.consensus().view();
        view.state.services().get(self.service.object())?;
        let mut fresh = Vec::new();
        for task in view.state.tasks().of_service(self.service) {
            let (lines, next) = match positions.get(&task.id) {
                Some(position) => self.logs.since(task.id, *position),
                None => self.logs.tail(task.id, tail),
            };
            positions.insert(task.id, next);
            fresh.extend(lines.into_iter().map(|line| chunk(&view.state, task, line)));
        }
        fresh.sort_by_key(|chunk| chunk.at);
        for chunk in fresh {
            self.chunks.send(Ok(chunk)).await.ok()?;
        }
        Some(())
    }
}

fn chunk(state: &State, task: &Task, line: LogLine) -> LogsChunk {
    let stream = match line.stream {
        TaskStream::Stdout => LogStream::Stdout,
        TaskStream::Stderr => LogStream::Stderr,
    };
    LogsChunk {
        task_id: line.task.to_string(),
        slot: task.slot,
        node_hostname: hostname(state, task),
        stream: stream.into(),
        at: i64::try_from(line.at_nanos).unwrap_or(i64::MAX),
        line: line.bytes.into_vec(),
    }
}
