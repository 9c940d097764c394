//! `Tokens`: join tokens beside the two standing ones.

use proto::v1;
use proto::v1::tokens_server::Tokens;
use tonic::{Request, Response, Status};
use vault_core::node::Role;
use vault_core::time::Timestamp;
use vault_core::token::{Standing, Token};

use super::{convert, status};
use crate::daemon::Daemon;
use crate::manager::{TokenRefused, TokenWanted};

#[tonic::async_trait]
impl Tokens for Daemon {
    async fn create(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Result<Response<v1::CreateTokenResponse>, Status> {
        let asked = convert::asked(&request, &[]).map_err(|error| status::of_request(&error))?;
        let wire = request.into_inner();
        let role = v1::NodeRole::try_from(wire.role);
        let role = match role.map_err(|_| Status::invalid_argument("unknown role"))? {
            v1::NodeRole::Worker => Role::Worker,
            v1::NodeRole::Manager => Role::Manager,
        };
        let wanted = TokenWanted { role, ttl_secs: wire.ttl_secs, uses_max: wire.uses };
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        let created = manager.create_token(asked, wanted).await;
        let (id, token) = created.map_err(|error| of_token(&error))?;
        let (_, own) = self.cluster().await.map_err(|error| status::of_call(&error))?;
        let view = manager.consensus().view();
        let listed = view.state.tokens().get(id).map(|token| listed(token, view.state.clock()));
        let answer = v1::CreateTokenResponse {
            token: token.to_string(),
            listed,
            advertise_addr: own.addr,
            index: own.index,
        };
        Ok(convert::touching(answer, vec![id.object()]))
    }

    async fn list(
        &self,
        _request: Request<v1::ListTokensRequest>,
    ) -> Result<Response<v1::ListTokensResponse>, Status> {
        let (manager, view) = self.view().await.map_err(|error| status::of_call(&error))?;
        // Nothing may have been written since one of them ended.
        let now = view.state.clock().max(manager.now());
        let tokens = view.state.tokens().iter().map(|token| listed(token, now)).collect();
        Ok(Response::new(v1::ListTokensResponse { tokens, index: view.state.index() }))
    }

    async fn revoke(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<v1::ChangeResponse>, Status> {
        let asked = convert::asked(&request, &[]).map_err(|error| status::of_request(&error))?;
        let manager = self.manager().map_err(|error| status::of_call(&error))?;
        let revoked = manager.revoke_token(asked, &request.into_inner().reference).await;
        let index = revoked.map_err(|error| status::of_call(&error.into()))?.index;
        Ok(Response::new(v1::ChangeResponse { index }))
    }
}

fn listed(token: &Token, now: Timestamp) -> v1::Token {
    let nanos = |at: Timestamp| i64::try_from(at.nanos()).unwrap_or(i64::MAX);
    let role = match token.role {
        Role::Worker => v1::NodeRole::Worker,
        Role::Manager => v1::NodeRole::Manager,
    };
    let standing = match token.standing(now) {
        Standing::Good => v1::TokenStanding::Good,
        Standing::Expired => v1::TokenStanding::Expired,
        Standing::UsedUp => v1::TokenStanding::UsedUp,
        Standing::Revoked => v1::TokenStanding::Revoked,
    };
    v1::Token {
        id: token.id.to_string(),
        role: role.into(),
        standing: standing.into(),
        created_at: nanos(token.created_at),
        ends_at: token.ends_at.map(nanos),
        uses: token.uses,
        uses_max: token.uses_max,
    }
}

fn of_token(error: &TokenRefused) -> Status {
    match error {
        TokenRefused::Ttl { .. } | TokenRefused::Uses => {
            Status::invalid_argument(error.to_string())
        }
        TokenRefused::Call(error) => status::of_manager_call(error),
    }
}
