//! Creations of secrets and reads of configs: the load on managers.

use crate::wire::Wire;
use proto::v1::configs_client::ConfigsClient;
use proto::v1::secrets_client::SecretsClient;
use proto::v1::{CreateValuesRequest, InspectValueRequest, NewValue, ValueSpec};
use tonic::Status;

/// Makes secrets whose names no other client uses.
pub struct Creator {
    client: SecretsClient<Wire>,
    /// First part of the names: unlike any other client's.
    prefix: String,
    next: usize,
    /// Secrets of one request.
    batch: usize,
    /// Bytes of one value.
    size: usize,
}

impl Creator {
    pub fn new(channel: Wire, prefix: String, batch: usize, size: usize) -> Self {
        let client = SecretsClient::new(channel).max_encoding_message_size(usize::MAX);
        Self { client, prefix, next: 0, batch, size }
    }

    /// Makes the next secrets.
    pub async fn create(&mut self) -> Result<(), Status> {
        let first = self.next;
        self.next += self.batch;
        let values = (first..self.next).map(|number| {
            let name = format!("{}-{number}", self.prefix);
            let spec = Some(ValueSpec { name, ..ValueSpec::default() });
            NewValue { spec, value: vec![0xa5; self.size], ..NewValue::default() }
        });
        let request = CreateValuesRequest { values: values.collect(), request_id: Vec::new() };
        self.client.create(request).await.map(drop)
    }
}

/// Reads one config with its value, linearizably.
pub struct Reader {
    client: ConfigsClient<Wire>,
    name: String,
}

impl Reader {
    pub fn new(channel: Wire, name: &str) -> Self {
        Self { client: ConfigsClient::new(channel), name: name.to_owned() }
    }

    /// Makes the config that is read.
    pub async fn make(&mut self, size: usize) -> Result<(), Status> {
        let spec = Some(ValueSpec { name: self.name.clone(), ..ValueSpec::default() });
        let value = NewValue { spec, value: vec![0xa5; size], ..NewValue::default() };
        let request = CreateValuesRequest { values: vec![value], request_id: Vec::new() };
        self.client.create(request).await.map(drop)
    }

    pub async fn read(&mut self) -> Result<(), Status> {
        let request = InspectValueRequest { reference: self.name.clone() };
        self.client.inspect(request).await.map(drop)
    }
}
