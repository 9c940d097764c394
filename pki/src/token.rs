//! Join tokens, in Swarm's exact text: `SWMTKN-1-<digest of the root>-<secret>`.

use ring::digest;
use std::hint::black_box;
use zeroize::Zeroizing;

use crate::base36;

/// Bytes of a token's secret.
pub const SECRET_BYTES: usize = 16;
const DIGEST_BYTES: usize = 32;
const DIGEST_DIGITS: usize = 50;
const SECRET_DIGITS: usize = 25;
const PREFIX: &str = "SWMTKN-1-";

/// Text that is no join token. Swarm's text; the token itself is never repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid join token")]
pub struct TokenError;

/// The part of a token that only the cluster and the joining node know. No Debug or comparison.
pub struct TokenSecret(Box<Zeroizing<[u8; SECRET_BYTES]>>);

impl TokenSecret {
    /// Takes random bytes over.
    pub fn new(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(Box::new(Zeroizing::new(bytes)))
    }

    /// The bytes, to be sealed.
    pub fn expose(&self) -> &[u8; SECRET_BYTES] {
        &self.0
    }

    /// What a cluster keeps of a token that it does not show again: SHA-256, with the cluster's ID.
    pub fn digest(&self, cluster: &str) -> [u8; DIGEST_BYTES] {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(b"coffer join token v1\0");
        context.update(cluster.as_bytes());
        context.update(b"\0");
        context.update(self.expose());
        context.finish().as_ref().try_into().unwrap_or_default()
    }

    /// Whether these are the same bytes. How long it takes tells nothing but their number.
    pub fn equals(&self, other: &[u8]) -> bool {
        if other.len() != SECRET_BYTES {
            return false;
        }
        let pairs = self.expose().iter().zip(other);
        // Looked at through `black_box`, or the compiler might stop at the first difference.
        black_box(pairs.fold(0, |all, (left, right)| black_box(all | (left ^ right)))) == 0
    }
}

/// SHA-256 of the exact bytes of the root bundle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RootDigest([u8; DIGEST_BYTES]);

impl RootDigest {
    /// The digest of a root bundle in PEM.
    pub fn of(root_pem: &str) -> Self {
        let digest = digest::digest(&digest::SHA256, root_pem.as_bytes());
        Self(digest.as_ref().try_into().unwrap_or_default())
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A join token.
pub struct JoinToken {
    pub root: RootDigest,
    pub secret: TokenSecret,
}

impl JoinToken {
    /// The token as it is shown and typed.
    pub fn to_text(&self) -> Zeroizing<String> {
        let secret = Zeroizing::new(base36::format(self.secret.expose(), SECRET_DIGITS));
        let root = base36::format(&self.root.0, DIGEST_DIGITS);
        let mut text = String::with_capacity(PREFIX.len().saturating_add(76));
        text.push_str(PREFIX);
        text.push_str(&root);
        text.push('-');
        text.push_str(&secret);
        Zeroizing::new(text)
    }

    /// Takes a token's exact text.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let rest = text.strip_prefix(PREFIX).ok_or(TokenError)?;
        let (root, secret) = rest.split_once('-').ok_or(TokenError)?;
        if root.len() != DIGEST_DIGITS || secret.len() != SECRET_DIGITS {
            return Err(TokenError);
        }
        let root = base36::parse(root).ok_or(TokenError)?;
        let secret = base36::parse(secret).ok_or(TokenError)?;
        Ok(Self { root: RootDigest(root), secret: TokenSecret::new(secret) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use static_assertions::assert_not_impl_any;

    assert_not_impl_any!(TokenSecret: Clone, std::fmt::Debug, std::fmt::Display, PartialEq);
    assert_not_impl_any!(JoinToken: Clone, std::fmt::Debug, std::fmt::Display, PartialEq);

    const TEXT: &str =
        "SWMTKN-1-5zydke7az61rt37mo35ct5ntlxc3i7wl2b37uy66gcci33idwr-06f2xuimuzgdf5hn6jqgxq683";

    fn token() -> JoinToken {
        JoinToken { root: RootDigest::of("pem"), secret: TokenSecret::new([3; SECRET_BYTES]) }
    }

    #[test]
    fn a_token_reads_as_it_was_written() {
        let text = token().to_text();
        assert_eq!(text.len(), 85);
        assert_eq!(text.as_str(), TEXT);
        let read = JoinToken::parse(&text).unwrap();
        assert_eq!(read.root, token().root);
        assert_eq!(read.secret.expose(), &[3; SECRET_BYTES]);
    }

    #[test]
    fn a_secret_equals_itself_alone() {
        let secret = TokenSecret::new([3; SECRET_BYTES]);
        assert!(secret.equals(&[3; SECRET_BYTES]));
        for place in 0..SECRET_BYTES {
            let mut other = [3; SECRET_BYTES];
            other[place] ^= 0x80;
            assert!(!secret.equals(&other), "byte {place}");
        }
        for other in [&[][..], &[3; SECRET_BYTES - 1], &[3; SECRET_BYTES + 1]] {
            assert!(!secret.equals(other), "{} bytes", other.len());
        }
    }

    #[test]
    fn a_digest_tells_the_secret_and_the_cluster() {
        let digest = |n, cluster| TokenSecret::new([n; SECRET_BYTES]).digest(cluster);
        let known = u64::from_str_radix("5871d968dfdba9d1", 16).unwrap();
        assert_eq!(digest(3, "c")[..8], known.to_be_bytes(), "as it always was");
        assert_ne!(digest(3, "c"), digest(4, "c"));
        assert_ne!(digest(3, "c"), digest(3, "d"));
    }

    #[test]
    fn text_of_any_other_form_is_refused() {
        let upper = TEXT.to_uppercase();
        let spaced = format!(" {TEXT}");
        let shorter = TEXT.strip_suffix(|_: char| true).unwrap();
        let longer = format!("{TEXT}0");
        let fips = TEXT.replacen("-1-", "-2-", 1);
        let overflow = format!("SWMTKN-1-{}-{}", "z".repeat(50), "z".repeat(25));
        for text in ["", "SWMTKN-1-", shorter, &upper, &spaced, &longer, &fips, &overflow] {
            assert!(JoinToken::parse(text).is_err(), "{text:?}");
        }
    }
}
