//! What others think of the certificates that are served: programs that know nothing of this one.

use std::path::Path;
use std::process::{Command, Output, Stdio};

use tests::cluster::{form, nodes};
use tests::{Node, wait_until};

/// Shakes hands with a manager's node port as OpenSSL does that believes the root alone.
fn shake(node: &Node, root: &Path, more: &[&str]) -> Option<Output> {
    let addr = node.address().expect("it has one");
    let mut openssl = Command::new("openssl");
    openssl.args(["s_client", "-connect", addr, "-alpn", "h2", "-verify_return_error"]);
    openssl.args(["-no-CApath", "-no-CAstore", "-CAfile"]).arg(root);
    openssl.args(more).stdin(Stdio::null()).output().ok()
}

/// Looks at all that is to hold; `false` if there is no OpenSSL.
#[track_caller]
fn believes(node: &Node, root: &Path) -> bool {
    for name in ["swarm-manager", "swarm-ca"] {
        let strict = ["-x509_strict", "-purpose", "sslserver", "-verify_hostname", name];
        let Some(shaken) = shake(node, root, &strict) else { return false };
        let said = String::from_utf8_lossy(&shaken.stdout);
        assert!(said.contains("Verification: OK"), "{shaken:?}");
        assert!(said.contains("TLSv1.3") && said.contains("ALPN protocol: h2"), "{said}");
    }
    let other = ["-x509_strict", "-verify_hostname", "swarm-worker"];
    let refused = shake(node, root, &other).expect("it was there");
    assert!(!refused.status.success(), "a manager is no worker: {refused:?}");
    for older in [["-tls1_2"], ["-no_tls1_3"]] {
        let refused = shake(node, root, &older).expect("it was there");
        assert!(!refused.status.success(), "TLS 1.3 alone: {refused:?}");
    }
    true
}

#[test]
fn openssl_at_its_strictest_believes_what_managers_serve() {
    let test = "openssl_at_its_strictest_believes_what_managers_serve";
    let Some(nodes) = nodes::<2>(test) else { return };
    let _daemons = form(&nodes);
    // By the first root, and by the one that is vouched for by it.
    for _ in 0..2 {
        let root = nodes[0].scratch().path("root.pem");
        std::fs::write(&root, nodes[0].coffer(&["swarm", "ca"]).said()).expect("there is room");
        for node in &nodes {
            if !believes(node, &root) {
                return tests::skipped(test, "needs openssl: another judge of certificates");
            }
        }
        let run = nodes[0].coffer(&["swarm", "ca", "--rotate", "-q"]);
        assert_eq!(run.code, Some(0), "{run:?}");
        wait_until("the other one shows it, too", || {
            let shown = nodes.each_ref().map(|node| node.coffer(&["swarm", "ca"]).said());
            shown[0] == shown[1]
        });
    }
}
