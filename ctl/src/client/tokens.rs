//! Calls about join tokens beside the standing ones.

use proto::v1;
use proto::v1::tokens_client::TokensClient;

use super::CallError;
use super::Channel;
use super::Client;
use super::filled;
use super::nodes::role;
use super::not_understood;
use crate::objects::MadeToken;
use crate::objects::Token;

impl Client {
    fn tokens_client(&self) -> TokensClient<Channel> {
        TokensClient::new(self.channel.clone())
    }

    pub(crate) async fn create_token(
        &self,
        of_role: &str,
        ttl_secs: Option<u64>,
        uses: Option<u32>,
    ) -> Result<MadeToken, CallError> {
        let request = v1::CreateTokenRequest { role: role(of_role).into(), ttl_secs, uses };
        let answer = self.ask(self.tokens_client().create(request)).await?;
        let listed = answer.listed.ok_or_else(|| not_understood("the token's ID is missing"))?;
        Ok(MadeToken {
            token: filled(answer.token, "the token")?,
            listed: token(listed)?,
            address: filled(answer.advertise_addr, "the manager's address")?,
        })
    }

    pub(crate) async fn tokens(&self) -> Result<Vec<Token>, CallError> {
        let answer = self.ask(self.tokens_client().list(v1::ListTokensRequest {})).await?;
        answer.tokens.into_iter().map(token).collect()
    }

    pub(crate) async fn revoke_token(&self, reference: &str) -> Result<(), CallError> {
        let request = v1::RevokeTokenRequest { reference: reference.to_owned() };
        self.ask(self.tokens_client().revoke(request)).await?;
        Ok(())
    }
}

fn token(wire: v1::Token) -> Result<Token, CallError> {
    let role = match wire.role() {
        v1::NodeRole::Worker => "worker",
        v1::NodeRole::Manager => "manager",
    };
    let standing = match wire.standing() {
        v1::TokenStanding::Good => "good",
        v1::TokenStanding::Expired => "expired",
        v1::TokenStanding::UsedUp => "used up",
        v1::TokenStanding::Revoked => "revoked",
    };
    Ok(Token {
        role,
        standing,
        created_at: wire.created_at,
        ends_at: wire.ends_at,
        uses: wire.uses,
        uses_max: wire.uses_max,
        id: filled(wire.id, "the token's ID")?,
    })
}
