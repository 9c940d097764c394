//! Join tokens beside the standing ones: two that are there, and whatever is made.

use proto::v1;
use proto::v1::tokens_server::Tokens;
use tonic::Request;
use tonic::Status;

use super::Answer;
use super::Answers;
use super::answer;

const HOUR: i64 = 3_600_000_000_000;

#[tonic::async_trait]
impl Tokens for Answers {
    async fn create(
        &self,
        request: Request<v1::CreateTokenRequest>,
    ) -> Answer<v1::CreateTokenResponse> {
        let asked = request.into_inner();
        let ends_at =
            asked.ttl_secs.map(|secs| i64::try_from(secs).expect("it fits") * 1_000_000_000);
        answer(v1::CreateTokenResponse {
            token: "SWMTKN-1-f".to_owned(),
            listed: Some(v1::Token {
                id: "tok3".to_owned(),
                role: asked.role,
                ends_at,
                uses_max: asked.uses,
                ..v1::Token::default()
            }),
            advertise_addr: "127.0.0.1:2377".to_owned(),
            index: 1,
        })
    }

    async fn list(&self, _: Request<v1::ListTokensRequest>) -> Answer<v1::ListTokensResponse> {
        let first = v1::Token {
            id: "tok1".to_owned(),
            role: v1::NodeRole::Manager.into(),
            created_at: HOUR,
            ..v1::Token::default()
        };
        let second = v1::Token {
            id: "tok2".to_owned(),
            standing: v1::TokenStanding::UsedUp.into(),
            created_at: 2 * HOUR,
            uses: 2,
            uses_max: Some(2),
            ..v1::Token::default()
        };
        answer(v1::ListTokensResponse { tokens: vec![first, second], index: 1 })
    }

    async fn revoke(&self, request: Request<v1::RevokeTokenRequest>) -> Answer<v1::ChangeResponse> {
        match request.into_inner().reference.as_str() {
            "tok1" => answer(v1::ChangeResponse { index: 1 }),
            other => Err(Status::not_found(format!("token {other} not found"))),
        }
    }
}
