//! Secrets and configs: two services of the wire with the same messages.
//!
//! A request that carries values is wiped once it is encoded.

use std::num::NonZeroU32;
use std::num::NonZeroU64;

use prost::Message;
use proto::bound::Bounded;
use proto::codec::MessageCodec;
use proto::v1;
use tonic::Request;
use tonic::Status;
use tonic::codec::Codec;
use tonic::codegen::http::uri::PathAndQuery;
use zeroize::Zeroize;

use super::CallError;
use super::Client;
use super::convert;
use super::not_understood;
use crate::chance;
use crate::codec::Wipe;
use crate::codec::Wiped;
use crate::codec::WipingCodec;
use crate::limits::PAGES_MAX;
use crate::limits::REQUEST_BYTES_MAX;
use crate::objects::Change;
use crate::objects::Class;
use crate::objects::Labels;
use crate::objects::Rotation;
use crate::objects::Versioned;
use crate::plaintext::Plaintext;

impl Client {
    /// Creates all of them or none; their IDs come in the same order.
    pub(crate) async fn create_values(
        &self,
        class: Class,
        values: Vec<(String, Plaintext)>,
        labels: &Labels,
        version_limit: Option<NonZeroU32>,
    ) -> Result<Vec<String>, CallError> {
        let count = values.len();
        let new_value = |(name, value): (String, Plaintext)| v1::NewValue {
            spec: Some(v1::ValueSpec { name, labels: labels.clone() }),
            value: value.danger_into_bytes(),
            version_limit: version_limit.map_or(0, NonZeroU32::get),
        };
        let request = Wiped(v1::CreateValuesRequest {
            values: values.into_iter().map(new_value).collect(),
            request_id: chance::bytes::<16>().to_vec(),
        });
        let answer: v1::CreateValuesResponse = self.send(class, "Create", request).await?;
        if answer.ids.len() == count && !answer.ids.iter().any(String::is_empty) {
            Ok(answer.ids)
        } else {
            Err(not_understood(format!("it names {} IDs for {count} objects", answer.ids.len())))
        }
    }

    /// Adds the next version of each, of all or none; their numbers come in the same order.
    pub(crate) async fn rotate_values(
        &self,
        class: Class,
        values: Vec<(String, Plaintext)>,
        rotation: Rotation,
    ) -> Result<Vec<u32>, CallError> {
        let count = values.len();
        let expected = rotation.expected.map_or(0, NonZeroU64::get);
        let new_version = |(reference, value): (String, Plaintext)| v1::NewVersion {
            reference,
            value: value.danger_into_bytes(),
            expected,
        };
        let request = Wiped(v1::RotateValuesRequest {
            versions: values.into_iter().map(new_version).collect(),
            keep_pending: !rotation.is_active,
            label: rotation.label,
            request_id: chance::bytes::<16>().to_vec(),
        });
        let answer: v1::RotateValuesResponse = self.send(class, "Rotate", request).await?;
        if answer.numbers.len() == count {
            Ok(answer.numbers)
        } else {
            Err(not_understood(format!(
                "it names {} versions for {count} objects",
                answer.numbers.len()
            )))
        }
    }

    /// All objects that the filters let through, from all pages.
    pub(crate) async fn list_values(
        &self,
        class: Class,
        filters: Vec<(String, String)>,
    ) -> Result<Vec<Versioned>, CallError> {
        let pair = |(key, value)| v1::Filter { key, value };
        let filters: Vec<_> = filters.into_iter().map(pair).collect();
        let (mut found, mut after) = (Vec::new(), String::new());
        for _ in 0..PAGES_MAX {
            let request = v1::ListValuesRequest { limit: 0, after, filters: filters.clone() };
            let page: v1::ListValuesResponse = self.call(class, "List", request).await?;
            for wire in page.values {
                found.push(convert::versioned(wire)?);
            }
            if page.next.is_empty() {
                return Ok(found);
            }
            after = page.next;
        }
        Err(not_understood(format!("the list of {class}s does not end")))
    }

    pub(crate) async fn inspect_value(
        &self,
        class: Class,
        reference: &str,
    ) -> Result<Versioned, CallError> {
        let request = v1::InspectValueRequest { reference: reference.to_owned() };
        let answer: v1::InspectValueResponse = self.call(class, "Inspect", request).await?;
        let missing = || not_understood(format!("the {class} is missing"));
        convert::versioned(answer.value.ok_or_else(missing)?)
    }

    pub(crate) async fn remove_value(
        &self,
        class: Class,
        reference: &str,
    ) -> Result<(), CallError> {
        let request = v1::RemoveValueRequest { reference: reference.to_owned() };
        self.change(class, "Remove", request).await
    }

    /// Makes these versions current, of all or none; an empty version is the one that waits.
    pub(crate) async fn activate_values(
        &self,
        class: Class,
        values: Vec<(String, String)>,
    ) -> Result<(), CallError> {
        let one = |(reference, version)| v1::ActivateValue { reference, version };
        let values = values.into_iter().map(one).collect();
        self.change(class, "Activate", v1::ActivateValuesRequest { values }).await
    }

    /// Makes the versions before the current ones current again, of all or none.
    pub(crate) async fn roll_values_back(
        &self,
        class: Class,
        references: &[String],
    ) -> Result<(), CallError> {
        let references = references.to_vec();
        self.change(class, "Rollback", v1::RollbackValuesRequest { references }).await
    }

    pub(crate) async fn destroy_version(
        &self,
        class: Class,
        reference: &str,
        number: NonZeroU32,
        force: bool,
    ) -> Result<(), CallError> {
        let (reference, number) = (reference.to_owned(), number.get());
        self.change(class, "Destroy", v1::DestroyVersionRequest { reference, number, force }).await
    }

    pub(crate) async fn update_value(
        &self,
        class: Class,
        reference: &str,
        change: Change,
    ) -> Result<(), CallError> {
        let (labels, expected) = match change.labels {
            Some((labels, seen)) => (Some(v1::Labels { labels }), seen),
            None => (None, 0),
        };
        let request = v1::UpdateValueRequest {
            reference: reference.to_owned(),
            expected,
            labels,
            version_limit: change.version_limit.map_or(0, NonZeroU32::get),
        };
        self.change(class, "Update", request).await
    }

    async fn change<M>(&self, class: Class, call: &str, message: M) -> Result<(), CallError>
    where
        M: Message + 'static,
    {
        let _: v1::ChangeResponse = self.call(class, call, message).await?;
        Ok(())
    }

    async fn call<M, R>(&self, class: Class, call: &str, message: M) -> Result<R, CallError>
    where
        M: Message + 'static,
        R: Message + Bounded + Default + 'static,
    {
        self.ask_coded(MessageCodec::<M, R>::default(), class, call, message).await
    }

    /// Sends values, unless they are more than one request takes.
    async fn send<M, R>(&self, class: Class, call: &str, request: Wiped<M>) -> Result<R, CallError>
    where
        M: Message + Wipe + 'static,
        R: Message + Bounded + Default + 'static,
    {
        match request.0.encoded_len() {
            bytes if bytes > REQUEST_BYTES_MAX => Err(CallError::TooLarge { bytes }),
            _ => self.ask_coded(WipingCodec::<M, R>::new(), class, call, request).await,
        }
    }

    /// The generated clients would need every call twice: only the path tells the classes apart.
    async fn ask_coded<C>(
        &self,
        codec: C,
        class: Class,
        call: &str,
        message: C::Encode,
    ) -> Result<C::Decode, CallError>
    where
        C: Codec<Encode: Send + Sync + 'static, Decode: Send + Sync + 'static>,
    {
        let service = match class {
            Class::Secret => "Secrets",
            Class::Config => "Configs",
        };
        let path = PathAndQuery::try_from(format!("/coffer.v1.{service}/{call}"))
            .expect("letters, dots and slashes make a path");
        let mut caller = tonic::client::Grpc::new(self.channel.clone());
        let answer = async {
            caller.ready().await.map_err(|error| Status::from_error(error.into()))?;
            caller.unary(Request::new(message), path, codec).await
        };
        self.ask(answer).await
    }
}

impl Wipe for v1::CreateValuesRequest {
    fn wipe(&mut self) {
        self.values.iter_mut().for_each(|value| value.value.zeroize());
    }
}

impl Wipe for v1::RotateValuesRequest {
    fn wipe(&mut self) {
        self.versions.iter_mut().for_each(|version| version.value.zeroize());
    }
}
