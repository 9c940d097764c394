//! Services, their tasks, and what the tasks wrote.

use proto::v1;
use proto::v1::services_client::ServicesClient;

use super::Answers;
use super::CallError;
use super::Channel;
use super::Client;
use super::convert;
use super::filled;
use super::not_understood;
use crate::chance;
use crate::limits::PAGES_MAX;
use crate::objects::LogLine;
use crate::objects::Service;
use crate::objects::ServiceSpec;
use crate::objects::Tasks;

impl Client {
    fn services(&self) -> ServicesClient<Channel> {
        ServicesClient::new(self.channel.clone())
    }

    pub(crate) async fn create_service(&self, spec: ServiceSpec) -> Result<String, CallError> {
        let request = v1::CreateServiceRequest {
            spec: Some(convert::wire_spec(spec)),
            request_id: chance::bytes::<16>().to_vec(),
        };
        let answer = self.ask(self.services().create(request)).await?;
        filled(answer.id, "the service's ID")
    }

    pub(crate) async fn list_services(&self) -> Result<Vec<Service>, CallError> {
        let (mut found, mut after) = (Vec::new(), String::new());
        for _ in 0..PAGES_MAX {
            let request = v1::ListServicesRequest { limit: 0, after };
            let page = self.ask(self.services().list(request)).await?;
            for wire in page.services {
                found.push(convert::service(wire)?);
            }
            if page.next.is_empty() {
                return Ok(found);
            }
            after = page.next;
        }
        Err(not_understood("the list of services does not end"))
    }

    pub(crate) async fn inspect_service(&self, reference: &str) -> Result<Service, CallError> {
        let request = v1::InspectServiceRequest { reference: reference.to_owned() };
        let answer = self.ask(self.services().inspect(request)).await?;
        convert::service(answer.service.ok_or_else(|| not_understood("the service is missing"))?)
    }

    pub(crate) async fn tasks(&self, reference: &str) -> Result<Tasks, CallError> {
        let request = v1::ListTasksRequest { reference: reference.to_owned() };
        let answer = self.ask(self.services().tasks(request)).await?;
        let tasks = answer.tasks.into_iter().map(convert::task).collect::<Result<_, _>>()?;
        Ok(Tasks { service_name: filled(answer.service_name, "the service's name")?, tasks })
    }

    pub(crate) async fn remove_service(&self, reference: &str) -> Result<(), CallError> {
        let request = v1::RemoveServiceRequest { reference: reference.to_owned() };
        self.ask(self.services().remove(request)).await.map(|_| ())
    }

    pub(crate) async fn logs(
        &self,
        reference: &str,
        follow: bool,
        tail: Option<u32>,
    ) -> Result<Answers<v1::LogsChunk, LogLine>, CallError> {
        let request = v1::LogsRequest { reference: reference.to_owned(), follow, tail };
        let stream = self.ask(self.services().logs(request)).await?;
        Ok(Answers::new(&self.host, stream, follow, convert::log_line))
    }
}
