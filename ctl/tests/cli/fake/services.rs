//! Services that run at once and say what the fake knows.

use std::pin::Pin;

use futures_util::Stream;
use futures_util::stream;
use proto::v1;
use proto::v1::services_server::Services;
use tonic::Request;
use tonic::Status;

use super::Answer;
use super::Answers;
use super::CREATED_AT;
use super::NODE;
use super::TASK;
use super::answer;

#[tonic::async_trait]
impl Services for Answers {
    async fn create(
        &self,
        request: Request<v1::CreateServiceRequest>,
    ) -> Answer<v1::CreateServiceResponse> {
        let spec = request.into_inner().spec.unwrap_or_default();
        let id = "sssssssssssssssssssssssss".to_owned();
        let service = v1::Service {
            id: id.clone(),
            version_index: 13,
            created_at: CREATED_AT,
            updated_at: CREATED_AT,
            running_tasks: spec.replicas,
            spec: Some(spec.clone()),
        };
        self.kept().services.insert(spec.name, service);
        answer(v1::CreateServiceResponse { id, index: 13 })
    }

    async fn list(&self, _: Request<v1::ListServicesRequest>) -> Answer<v1::ListServicesResponse> {
        let services = self.kept().services.values().cloned().collect();
        answer(v1::ListServicesResponse { services, next: String::new(), index: 13 })
    }

    async fn inspect(
        &self,
        request: Request<v1::InspectServiceRequest>,
    ) -> Answer<v1::InspectServiceResponse> {
        let service = self.service(&request.into_inner().reference)?;
        answer(v1::InspectServiceResponse { service: Some(service), index: 13 })
    }

    async fn tasks(&self, request: Request<v1::ListTasksRequest>) -> Answer<v1::ListTasksResponse> {
        let service = self.service(&request.into_inner().reference)?;
        let spec = service.spec.unwrap_or_default();
        let task = |slot| v1::Task {
            id: TASK.to_owned(),
            service_id: service.id.clone(),
            slot,
            node_id: NODE.to_owned(),
            node_hostname: "host".to_owned(),
            state: v1::TaskState::Running.into(),
            desired_state: v1::TaskState::Running.into(),
            status_at: CREATED_AT,
            command: spec.command.join(" "),
            ..v1::Task::default()
        };
        let tasks = (1..=spec.replicas).map(task).collect();
        answer(v1::ListTasksResponse { tasks, service_name: spec.name, index: 13 })
    }

    async fn remove(
        &self,
        request: Request<v1::RemoveServiceRequest>,
    ) -> Answer<v1::RemoveServiceResponse> {
        let reference = request.into_inner().reference;
        match self.kept().services.remove(&reference) {
            Some(_) => answer(v1::RemoveServiceResponse { index: 14 }),
            None => Err(Status::not_found(format!("service {reference} not found"))),
        }
    }

    type LogsStream = Pin<Box<dyn Stream<Item = Result<v1::LogsChunk, Status>> + Send>>;

    /// Every task complains, and prints the first and the second value of all secrets, each with what
    /// the task of `coffer dev` says behind it.
    async fn logs(&self, _: Request<v1::LogsRequest>) -> Answer<Self::LogsStream> {
        let chunk = |stream: v1::LogStream, line: &[u8]| v1::LogsChunk {
            task_id: TASK.to_owned(),
            slot: 1,
            node_hostname: "host".to_owned(),
            stream: stream.into(),
            at: CREATED_AT,
            line: line.trim_ascii_end().to_vec(),
        };
        let said: [&[u8]; 2] = [b"(the task waits for a new value)", b"(the task now sleeps)"];
        let kept = self.kept();
        let lines: Vec<Vec<u8>> = kept
            .secrets
            .values()
            .flat_map(|secret| secret.values.values().zip(said))
            .flat_map(|(value, said)| [value.clone(), said.to_vec()])
            .collect();
        drop(kept);
        let chunks = lines.iter().map(|line| chunk(v1::LogStream::Stdout, line));
        let all: Vec<_> =
            std::iter::once(chunk(v1::LogStream::Stderr, b"a complaint")).chain(chunks).collect();
        answer(Box::pin(stream::iter(all.into_iter().map(Ok))))
    }
}

impl Answers {
    fn service(&self, reference: &str) -> Result<v1::Service, Status> {
        let kept = self.kept();
        let is_meant = |service: &&v1::Service| {
            let name = service.spec.as_ref().map(|spec| spec.name.as_str());
            service.id == reference || name == Some(reference)
        };
        let missing = || Status::not_found(format!("service {reference} not found"));
        kept.services.values().find(is_meant).cloned().ok_or_else(missing)
    }
}
