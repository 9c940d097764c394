//! Whether a node is alive and ready, for those who ask by machine: facts in, reasons against it out.

/// How a node stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// In no cluster.
    #[default]
    Outside,
    Locked,
    Manager(Serving),
}

/// How a manager stands that serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Serving {
    /// For how long the disk has not answered; none while it does.
    pub disk_hangs_ms: Option<u64>,
    pub has_leader: bool,
    /// Whether it has come to reflect all that was acknowledged before it was asked.
    pub is_caught_up: bool,
}

/// Why it is better restarted than waited for: what it cannot get out of by itself. None if it lives.
pub fn unwell(standing: Standing) -> Vec<String> {
    match standing {
        Standing::Outside | Standing::Locked => Vec::new(),
        Standing::Manager(serving) => {
            let hangs = |ms| format!("the disk has not answered for {ms} ms");
            serving.disk_hangs_ms.map(hangs).into_iter().collect()
        }
    }
}

/// Why no request should be sent to it. None if it is ready.
pub fn unready(standing: Standing) -> Vec<String> {
    let mut reasons = unwell(standing);
    match standing {
        Standing::Outside => {
            reasons.push("this node is in no cluster: coffer swarm init, or join".to_owned());
        }
        Standing::Locked => reasons.push("this manager is locked: coffer swarm unlock".to_owned()),
        Standing::Manager(Serving { has_leader: false, .. }) => {
            reasons.push("no leader is known".to_owned());
        }
        Standing::Manager(Serving { is_caught_up: false, .. }) => {
            reasons.push("it has not caught up with the leader".to_owned());
        }
        Standing::Manager(_) => {}
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_ready_when_it_serves_and_alive_while_its_disk_answers() {
        let fine = Serving { disk_hangs_ms: None, has_leader: true, is_caught_up: true };
        let nobody = Serving { has_leader: false, is_caught_up: false, ..fine };
        for (standing, is_well, unready_by) in [
            (Standing::Manager(fine), true, None),
            (Standing::Locked, true, Some("locked")),
            (Standing::Outside, true, Some("no cluster")),
            (Standing::Manager(nobody), true, Some("no leader")),
            (Standing::Manager(Serving { is_caught_up: false, ..fine }), true, Some("caught up")),
            (
                Standing::Manager(Serving { disk_hangs_ms: Some(1_200), ..fine }),
                false,
                Some("1200 ms"),
            ),
        ] {
            assert_eq!(unwell(standing).is_empty(), is_well, "{standing:?}");
            let reasons = unready(standing);
            match unready_by {
                None => assert_eq!(reasons, Vec::<String>::new()),
                Some(text) => {
                    assert!(reasons.len() == 1 && reasons[0].contains(text), "{reasons:?}");
                }
            }
        }
    }
}
