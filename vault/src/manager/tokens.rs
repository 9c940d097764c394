//! Join tokens beside the two standing ones, as operators ask for them.

use pki::token::{JoinToken, RootDigest, TokenSecret};
use vault_core::command::{Action, ObjectKind, Refusal};
use vault_core::id::TokenId;
use vault_core::limits::TOKEN_TTL_SECS_MAX;
use vault_core::node::Role;
use vault_core::token::{NewToken, TokenDigest};
use zeroize::Zeroizing;

use super::{Asked, CallError, Changed, Manager};
use crate::entropy;

/// A token that is wanted.
#[derive(Clone, Copy, Debug)]
pub struct TokenWanted {
    pub role: Role,
    pub ttl_secs: Option<u64>,
    pub uses_max: Option<u32>,
}

/// Why there is no new token.
#[derive(Debug, thiserror::Error)]
pub enum TokenRefused {
    #[error(
        "a token cannot live for {asked_secs} s: 1 s to {TOKEN_TTL_SECS_MAX} s can be asked for, or no end"
    )]
    Ttl { asked_secs: u64 },
    #[error("a token of no uses lets nobody in")]
    Uses,
    #[error(transparent)]
    Call(#[from] CallError),
}

impl Manager {
    /// Makes a token. Its text is nowhere else from then on.
    pub async fn create_token(
        &self,
        asked: Asked,
        wanted: TokenWanted,
    ) -> Result<(TokenId, Zeroizing<String>), TokenRefused> {
        let TokenWanted { role, ttl_secs, uses_max } = wanted;
        if let Some(asked_secs) = ttl_secs.filter(|ttl| !(1..=TOKEN_TTL_SECS_MAX).contains(ttl)) {
            return Err(TokenRefused::Ttl { asked_secs });
        }
        if uses_max == Some(0) {
            return Err(TokenRefused::Uses);
        }
        let view = self.read().await?;
        let cluster = view.state.cluster().ok_or_else(|| CallError::from(Refusal::NoCluster))?;
        let secret = TokenSecret::new(entropy::random());
        let id = TokenId::from_entropy(entropy::random());
        let digest = TokenDigest(secret.digest(cluster.id.as_str()));
        let new = NewToken { id, role, digest, ttl_secs, uses_max };
        self.act_for(asked, Action::CreateToken(new)).await?;
        let root = RootDigest::of(&cluster.root_certificate);
        Ok((id, JoinToken { root, secret }.to_text()))
    }

    /// Ends the token that the reference names.
    pub async fn revoke_token(&self, asked: Asked, reference: &str) -> Result<Changed, CallError> {
        let view = self.read().await?;
        let found = view.state.tokens().find(reference);
        let found = found.map_err(|failed| Refusal::lookup(ObjectKind::Token, reference, failed));
        let id = found?.id;
        self.change(asked, vec![id.object()], Action::RevokeToken(id)).await
    }
}
