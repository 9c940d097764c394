//! Join tokens beside the two standing ones: kept as a digest, with an end, a number of uses, or both.

use std::fmt;

use crate::id::TokenId;
use crate::node::Role;
use crate::time::Timestamp;

/// Bytes of the digest that a token's secret is known by.
pub const TOKEN_DIGEST_BYTES: usize = 32;

/// The digest of a token's secret. The secret has 128 random bits, so nobody finds it by trying.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenDigest(pub [u8; TOKEN_DIGEST_BYTES]);

/// What somebody wants of a new token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewToken {
    pub id: TokenId,
    pub role: Role,
    pub digest: TokenDigest,
    /// From the entry's time on; without it, until it is revoked.
    pub ttl_secs: Option<u64>,
    /// Nodes that it lets in; without it, any number.
    pub uses_max: Option<u32>,
}

/// A token, as the cluster keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    pub id: TokenId,
    pub role: Role,
    pub digest: TokenDigest,
    pub created_at: Timestamp,
    pub ends_at: Option<Timestamp>,
    pub uses_max: Option<u32>,
    pub uses: u32,
    /// When it let the last one in.
    pub used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// Whether a token lets anybody in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Good,
    Expired,
    UsedUp,
    Revoked,
}

impl Standing {
    /// All of them, with their numbers on disk.
    pub const NUMBERS: [(Self, u32); 4] =
        [(Self::Good, 0), (Self::Expired, 1), (Self::UsedUp, 2), (Self::Revoked, 3)];
}

impl fmt::Display for Standing {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(match self {
            Self::Good => "good",
            Self::Expired => "expired",
            Self::UsedUp => "used up",
            Self::Revoked => "revoked",
        })
    }
}

impl Token {
    /// How it stands by the cluster's time. It does not hold in its last moment any more.
    pub fn standing(&self, now: Timestamp) -> Standing {
        if self.revoked_at.is_some() {
            Standing::Revoked
        } else if self.uses_max.is_some_and(|max| self.uses >= max) {
            Standing::UsedUp
        } else if self.ends_at.is_some_and(|end| end <= now) {
            Standing::Expired
        } else {
            Standing::Good
        }
    }

    /// Since when it lets nobody in; `None` while it does.
    pub(crate) fn ended_at(&self, now: Timestamp) -> Option<Timestamp> {
        match self.standing(now) {
            Standing::Good => None,
            Standing::Expired => self.ends_at,
            Standing::UsedUp => self.used_at,
            Standing::Revoked => self.revoked_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_good_until_its_end_its_last_use_or_its_revocation() {
        let at = Timestamp::from_nanos;
        let good = Token {
            id: TokenId::from_entropy([1; 17]),
            role: Role::Worker,
            digest: TokenDigest([1; 32]),
            created_at: at(10),
            ends_at: Some(at(100)),
            uses_max: Some(2),
            uses: 1,
            used_at: Some(at(50)),
            revoked_at: None,
        };
        let endless = Token { ends_at: None, uses_max: None, uses: u32::MAX, ..good };
        let used = Token { uses: 2, ..good };
        let revoked = Token { revoked_at: Some(at(70)), ..used };
        for (token, now, standing, ended) in [
            (&good, 99, Standing::Good, None),
            (&good, 100, Standing::Expired, Some(100)),
            (&endless, u64::MAX, Standing::Good, None),
            (&used, 60, Standing::UsedUp, Some(50)),
            (&revoked, 60, Standing::Revoked, Some(70)),
        ] {
            assert_eq!(token.standing(at(now)), standing, "{now}");
            assert_eq!(token.ended_at(at(now)), ended.map(at), "{now}");
        }
    }
}
