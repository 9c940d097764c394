//! Issuing: what a node's certificate says, byte for byte, and what is not issued.

use super::*;
use crate::fixture::{CLUSTER, DAY, HOUR, NODE, NOW, Root, new_key, plan};
use crate::identity::{Claim, judge};

#[test]
fn what_is_issued_is_believed() {
    let root = Root::new();
    for role in [Role::Worker, Role::Manager] {
        let public = new_key().public_key();
        let leaf = root.leaf(&plan(role), &public);
        let expected = Claim {
            cluster: CLUSTER.to_owned(),
            node: NODE.to_owned(),
            role,
            key: public.digest(),
            not_before_secs: NOW - HOUR,
            not_after_secs: NOW + DAY,
        };
        assert_eq!(judge(&[&leaf], &root.pem, NOW), Ok(expected.clone()));
        assert_eq!(Claim::of(&leaf), Ok(expected));
    }
}
