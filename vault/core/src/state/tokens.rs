//! Join tokens beside the two standing ones: made, spent, revoked, forgotten.

use std::hint::black_box;
use std::sync::Arc;

use imbl::OrdMap;

use super::{Stamp, State, not_found};
use crate::command::{ObjectKind, Outcome, Refusal};
use crate::event::EventAction;
use crate::id::TokenId;
use crate::limits::{TOKENS_KEPT_SECS, TOKENS_MAX};
use crate::node::Role;
use crate::table::LookupError;
use crate::time::Timestamp;
use crate::token::{NewToken, Standing, Token, TokenDigest};

/// All tokens that are remembered, by their IDs.
#[derive(Clone, Debug, Default)]
pub struct Tokens(OrdMap<TokenId, Arc<Token>>);

impl Tokens {
    /// One token.
    pub fn get(&self, id: TokenId) -> Option<&Arc<Token>> {
        self.0.get(&id)
    }

    /// All of them, ordered by ID.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Token>> {
        self.0.values()
    }

    /// The token with this secret. How long it takes tells nothing but how many there are.
    pub fn with_digest(&self, digest: &TokenDigest) -> Option<&Arc<Token>> {
        let differs = |token: &Token| {
            let pairs = token.digest.0.iter().zip(&digest.0);
            // Looked at through `black_box`, or the compiler might stop at the first difference.
            black_box(pairs.fold(0, |all, (left, right)| black_box(all | (left ^ right))))
        };
        self.0
            .values()
            .fold(None, |found, token| if differs(token) == 0 { Some(token) } else { found })
    }

    /// The one that the reference names: its ID, or how that alone begins.
    pub fn find(&self, reference: &str) -> Result<&Arc<Token>, LookupError> {
        let starts = |token: &&Arc<Token>| token.id.as_str().starts_with(reference);
        let mut found = self.0.values().filter(starts);
        match (found.next().filter(|_| !reference.is_empty()), found.count()) {
            (None, _) => Err(LookupError::NotFound),
            (Some(token), 0) => Ok(token),
            (Some(_), more) => Err(LookupError::Ambiguous(more.saturating_add(1))),
        }
    }

    pub(super) fn insert(&mut self, token: Token) {
        self.0.insert(token.id, Arc::new(token));
    }

    /// Forgets those that ended long ago, and if there is no room then, the one that ended first.
    fn make_room(&mut self, now: Timestamp) -> Result<(), Refusal> {
        let ended = self.0.values().filter_map(|token| Some((token.ended_at(now)?, token.id)));
        let mut ended: Vec<_> = ended.collect();
        ended.sort_unstable();
        let is_over = |at: &Timestamp| at.secs().saturating_add(TOKENS_KEPT_SECS) <= now.secs();
        for (at, id) in ended {
            if !is_over(&at) && self.0.len() < TOKENS_MAX {
                break;
            }
            self.0.remove(&id);
        }
        if self.0.len() < TOKENS_MAX {
            Ok(())
        } else {
            Err(Refusal::TokensTooMany { max: TOKENS_MAX })
        }
    }

    /// Ends those that let managers in, or all: somebody went who may know them.
    pub(super) fn revoke_known(&mut self, now: Timestamp, role: Option<Role>) {
        let is_known = |token: &&Arc<Token>| {
            token.revoked_at.is_none() && role.is_none_or(|role| token.role == role)
        };
        let known: Vec<_> = self.0.values().filter(is_known).cloned().collect();
        for token in known {
            self.insert(Token { revoked_at: Some(now), ..Token::clone(&token) });
        }
    }

    /// One more node comes in by it.
    pub(super) fn spend(&mut self, id: TokenId, role: Role, now: Timestamp) -> Result<(), Refusal> {
        let token = self.0.get(&id).filter(|token| token.role == role);
        let token = token.ok_or_else(|| not_found(ObjectKind::Token, id.object()))?;
        let standing = token.standing(now);
        if standing != Standing::Good {
            return Err(Refusal::TokenWorthless { id, standing });
        }
        let uses = token.uses.saturating_add(1);
        self.insert(Token { uses, used_at: Some(now), ..Token::clone(token) });
        Ok(())
    }
}

impl State {
    /// The join tokens beside the standing ones.
    pub fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    pub(super) fn create_token(
        &mut self,
        stamp: &mut Stamp,
        new: NewToken,
    ) -> Result<Outcome, Refusal> {
        let NewToken { id, role, digest, ttl_secs, uses_max } = new;
        let taken = self.tokens.get(id).is_some() || self.tokens.with_digest(&digest).is_some();
        if taken {
            let (kind, name) = (ObjectKind::Token, id.to_string());
            return Err(Refusal::NameTaken { kind, name });
        }
        self.tokens.make_room(stamp.at)?;
        self.tokens.insert(Token {
            id,
            role,
            digest,
            created_at: stamp.at,
            ends_at: ttl_secs.map(|secs| stamp.at.plus(secs.saturating_mul(1_000_000_000))),
            uses_max,
            uses: 0,
            used_at: None,
            revoked_at: None,
        });
        stamp.event(ObjectKind::Token, EventAction::Create, id.object(), word(role));
        Ok(Outcome::Created(vec![id.object()]))
    }

    /// Revoked twice is revoked.
    pub(super) fn revoke_token(
        &mut self,
        stamp: &mut Stamp,
        id: TokenId,
    ) -> Result<Outcome, Refusal> {
        let token = self.tokens.get(id).ok_or_else(|| not_found(ObjectKind::Token, id.object()))?;
        if token.revoked_at.is_none() {
            let revoked = Token { revoked_at: Some(stamp.at), ..Token::clone(token) };
            stamp.event(ObjectKind::Token, EventAction::Update, id.object(), word(revoked.role));
            self.tokens.insert(revoked);
        }
        Ok(Outcome::Done)
    }
}

/// What a token lets in, as its events call it.
fn word(role: Role) -> &'static str {
    match role {
        Role::Worker => "worker",
        Role::Manager => "manager",
    }
}
