//! Join tokens beside the standing ones, stored.

use proto::stored;
use vault_core::id::TokenId;
use vault_core::time::Timestamp;
use vault_core::token::{NewToken, Standing, Token, TokenDigest};

use super::CodecError;
use super::node::{role_from, role_to};

pub(super) fn new_to(new: &NewToken) -> stored::CreateToken {
    stored::CreateToken {
        id: new.id.to_string(),
        role: role_to(new.role),
        digest: new.digest.0.to_vec(),
        ttl: new.ttl_secs,
        uses_max: new.uses_max,
    }
}

pub(super) fn new_from(new: stored::CreateToken) -> Result<NewToken, CodecError> {
    Ok(NewToken {
        id: TokenId::parse(&new.id)?,
        role: role_from(new.role)?,
        digest: digest_from(&new.digest)?,
        ttl_secs: new.ttl,
        uses_max: new.uses_max,
    })
}

pub(super) fn token_to(token: &Token) -> stored::Token {
    stored::Token {
        id: token.id.to_string(),
        role: role_to(token.role),
        digest: token.digest.0.to_vec(),
        created_at: token.created_at.nanos(),
        ends_at: token.ends_at.map(Timestamp::nanos),
        uses_max: token.uses_max,
        uses: token.uses,
        used_at: token.used_at.map(Timestamp::nanos),
        revoked_at: token.revoked_at.map(Timestamp::nanos),
    }
}

pub(super) fn token_from(token: stored::Token) -> Result<Token, CodecError> {
    Ok(Token {
        id: TokenId::parse(&token.id)?,
        role: role_from(token.role)?,
        digest: digest_from(&token.digest)?,
        created_at: Timestamp::from_nanos(token.created_at),
        ends_at: token.ends_at.map(Timestamp::from_nanos),
        uses_max: token.uses_max,
        uses: token.uses,
        used_at: token.used_at.map(Timestamp::from_nanos),
        revoked_at: token.revoked_at.map(Timestamp::from_nanos),
    })
}

pub(super) fn refusal_to(id: TokenId, standing: Standing) -> stored::TokenRefusal {
    stored::TokenRefusal { id: id.to_string(), standing: standing_to(standing) }
}

pub(super) fn standing_to(standing: Standing) -> u32 {
    let found = Standing::NUMBERS.into_iter().find(|(known, _)| *known == standing);
    found.expect("every standing has a number").1
}

pub(super) fn standing_from(number: u32) -> Result<Standing, CodecError> {
    let found = Standing::NUMBERS.into_iter().find(|(_, known)| *known == number);
    found.map(|(standing, _)| standing).ok_or(CodecError::Range { field: "standing" })
}

fn digest_from(bytes: &[u8]) -> Result<TokenDigest, CodecError> {
    let digest = bytes.try_into().map_err(|_| CodecError::Range { field: "digest" })?;
    Ok(TokenDigest(digest))
}

#[cfg(test)]
mod tests {
    use prost::Message;
    use proto::stored::snapshot_record::Record;
    use vault_core::node::Role;
    use vault_core::state::Restoring;

    use super::*;
    use crate::raft::codec::{record_of, records_of, restore};
    use crate::testing::assert_golden;

    #[test]
    fn a_join_token_comes_back_as_it_was() {
        let at = Timestamp::from_nanos(7);
        let fresh = Token {
            id: TokenId::from_entropy([9; 17]),
            role: Role::Manager,
            digest: TokenDigest([3; 32]),
            created_at: at,
            ends_at: None,
            uses_max: None,
            uses: 0,
            used_at: None,
            revoked_at: None,
        };
        let ended = Token {
            ends_at: Some(at.plus(1)),
            uses_max: Some(2),
            uses: 2,
            used_at: Some(at.plus(2)),
            revoked_at: Some(at.plus(3)),
            ..fresh
        };
        for (name, token) in [("snapshot-token", fresh), ("snapshot-token-ended", ended)] {
            let stored = stored::SnapshotRecord { record: Some(Record::Token(token_to(&token))) };
            let mut restoring = Restoring::default();
            restore(record_of(&stored.encode_to_vec()).unwrap(), &mut restoring).unwrap();
            let state = restoring.finish();
            assert_eq!(state.tokens().iter().next().unwrap().as_ref(), &token);
            assert_eq!(records_of(&state).collect::<Vec<_>>(), [stored.record.clone().unwrap()]);
            assert_golden(name, &stored.encode_to_vec());
        }
    }
}
