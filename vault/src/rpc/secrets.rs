//! `Secrets`: made, listed, looked at, removed. A value goes in here and never comes out.

use proto::v1::secrets_server::Secrets;
use proto::v1::{
    CreateSecretRequest, CreateSecretResponse, InspectSecretRequest, InspectSecretResponse,
    ListSecretsRequest, ListSecretsResponse, RemoveSecretRequest, RemoveSecretResponse,
};
use tonic::{Request, Response, Status};
use vault_core::command::{ObjectKind, Refusal};
use vault_core::seal::Plaintext;

use super::convert::{self, RequestError, needed};
use super::status;
use crate::daemon::Daemon;

#[tonic::async_trait]
impl Secrets for Daemon {
    async fn create(
        &self,
        request: Request<CreateSecretRequest>,
    ) -> Result<Response<CreateSecretResponse>, Status> {
        let CreateSecretRequest { spec, value, request_id } = request.into_inner();
        // Taken over first: from here on the value is wiped whatever happens.
        let value = Plaintext::secret(value).map_err(RequestError::from);
        let checked = || {
            let (name, labels) = convert::secret_spec(needed("spec", spec)?)?;
            Ok((convert::request_id(&request_id)?, name, labels, value?))
        };
        let (id, name, labels, value) = checked().map_err(|error| status::of_request(&error))?;
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        let made = manager.create_secret(id, name, labels, value).await;
        let (index, id) = made.map_err(|error| status::of_call(&error.into()))?;
        let id = id.expect("making a secret gives its ID").to_string();
        Ok(Response::new(CreateSecretResponse { id, index }))
    }

    async fn list(
        &self,
        request: Request<ListSecretsRequest>,
    ) -> Result<Response<ListSecretsResponse>, Status> {
        let request = request.into_inner();
        let (after, limit) = convert::page(request.limit, &request.after);
        let (_, view) = self.view().await.map_err(|error| status::of_call(&error))?;
        let page: Vec<_> = view.state.secrets().page(after.as_ref(), limit + 1).collect();
        let (page, next) = convert::cut_page(page, limit, |secret| secret.name.as_str());
        Ok(Response::new(ListSecretsResponse {
            secrets: page.into_iter().map(|secret| convert::secret(secret)).collect(),
            next,
            index: view.state.index(),
        }))
    }

    async fn inspect(
        &self,
        request: Request<InspectSecretRequest>,
    ) -> Result<Response<InspectSecretResponse>, Status> {
        let reference = request.into_inner().reference;
        let (_, view) = self.view().await.map_err(|error| status::of_call(&error))?;
        let found = view.state.secrets().find(&reference);
        let secret = found.map_err(|failed| {
            status::of_refusal(&Refusal::lookup(ObjectKind::Secret, &reference, failed))
        })?;
        let secret = Some(convert::secret(secret));
        Ok(Response::new(InspectSecretResponse { secret, index: view.state.index() }))
    }

    async fn remove(
        &self,
        request: Request<RemoveSecretRequest>,
    ) -> Result<Response<RemoveSecretResponse>, Status> {
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        let removed = manager.remove_secret(&request.into_inner().reference).await;
        let index = removed.map_err(|error| status::of_call(&error.into()))?;
        Ok(Response::new(RemoveSecretResponse { index }))
    }
}
