//! Who should take part in Raft, and the next step to get there: one at a time, each safe by itself, so that
//! a leader that is lost between two of them leaves nothing half done.

use std::collections::BTreeSet;

use crate::limits::CAUGHT_UP_ENTRIES;

/// A manager, as its record says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    pub raft_id: u64,
    pub node_id: String,
    pub addr: String,
}

/// A manager, as Raft's membership says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    pub raft_id: u64,
    pub addr: String,
    pub is_voter: bool,
    /// The last entry that it is known to have on disk.
    pub matched: Option<u64>,
}

/// What the leader sees.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster {
    /// The leader's own number.
    pub own: u64,
    pub last_index: u64,
    /// A change of the voters was begun and not finished.
    pub is_changing: bool,
    pub members: Vec<Member>,
}

/// The next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Finishes a change, or makes one: these vote.
    Vote(BTreeSet<u64>),
    /// The leader itself is to go: somebody else leads first.
    HandOver,
    /// This one follows the log, without a vote.
    Learn(Wanted),
    /// This one is reached elsewhere now.
    Move(Wanted),
    /// These do not even follow any more.
    Leave(BTreeSet<u64>),
}

/// All steps that could be taken now, the most urgent first. If one fails, the next may be tried.
pub fn steps(roster: &Roster, wanted: &[Wanted]) -> Vec<Step> {
    let is_wanted = |raft_id: u64| wanted.iter().any(|one| one.raft_id == raft_id);
    let voters: BTreeSet<u64> =
        roster.members.iter().filter(|one| one.is_voter).map(|one| one.raft_id).collect();
    if roster.is_changing {
        let kept: BTreeSet<u64> = voters.iter().copied().filter(|id| is_wanted(*id)).collect();
        return vec![Step::Vote(if kept.is_empty() { voters } else { kept })];
    }
    let mut steps = Vec::new();
    let caught_up = roster.members.iter().filter(|one| {
        let enough = roster.last_index.saturating_sub(CAUGHT_UP_ENTRIES);
        !one.is_voter && is_wanted(one.raft_id) && one.matched.is_some_and(|at| at >= enough)
    });
    let mut next: BTreeSet<u64> = voters.iter().copied().filter(|id| is_wanted(*id)).collect();
    // One at a time, new ones first: a replacement votes before the one that it replaces is gone.
    if let Some(ready) = caught_up.map(|one| one.raft_id).min() {
        let mut more = voters.clone();
        more.insert(ready);
        steps.push(Step::Vote(more));
    } else if next.len() < voters.len() {
        if !is_wanted(roster.own) && !next.is_empty() {
            steps.push(Step::HandOver);
        } else if next.is_empty() {
            // Nobody is left to vote: the records are wrong, not Raft.
            next.clone_from(&voters);
        } else {
            steps.push(Step::Vote(next.clone()));
        }
    }
    let surplus: BTreeSet<u64> = roster
        .members
        .iter()
        .filter(|one| !one.is_voter && !is_wanted(one.raft_id))
        .map(|one| one.raft_id)
        .collect();
    if !surplus.is_empty() {
        steps.push(Step::Leave(surplus));
    }
    for one in wanted.iter().filter(|one| !one.addr.is_empty()) {
        match roster.members.iter().find(|member| member.raft_id == one.raft_id) {
            None => steps.push(Step::Learn(one.clone())),
            Some(member) if member.addr != one.addr => steps.push(Step::Move(one.clone())),
            Some(_) => {}
        }
    }
    steps
}

/// Whether so many are a majority of the voters.
pub fn has_majority(count: usize, voters: usize) -> bool {
    count > voters.checked_div(2).unwrap_or(0)
}

/// Whether a cluster still has a majority of voters that answer once this one is gone.
pub fn keeps_quorum(voters: usize, answering_others: usize) -> bool {
    let left = voters.saturating_sub(1);
    left > 0 && answering_others > left.checked_div(2).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted(raft_id: u64) -> Wanted {
        Wanted { raft_id, node_id: format!("n{raft_id}"), addr: format!("a{raft_id}") }
    }

    fn member(raft_id: u64, is_voter: bool, matched: u64) -> Member {
        Member { raft_id, addr: format!("a{raft_id}"), is_voter, matched: Some(matched) }
    }

    fn roster(members: &[Member]) -> Roster {
        Roster { own: 1, last_index: 10_000, is_changing: false, members: members.to_vec() }
    }

    #[test]
    fn a_manager_learns_before_it_votes_and_votes_once_it_has_caught_up() {
        let (one, two) = (wanted(1), wanted(2));
        let alone = roster(&[member(1, true, 10_000)]);
        assert_eq!(steps(&alone, std::slice::from_ref(&one)), []);
        assert_eq!(steps(&alone, &[one.clone(), two.clone()]), [Step::Learn(two.clone())]);
        let behind = roster(&[member(1, true, 10_000), member(2, false, 5)]);
        assert_eq!(steps(&behind, &[one.clone(), two.clone()]), []);
        let ready = roster(&[member(1, true, 10_000), member(2, false, 9_999)]);
        assert_eq!(steps(&ready, &[one, two]), [Step::Vote([1, 2].into())]);
    }

    #[test]
    fn a_manager_without_an_address_waits() {
        let nowhere = Wanted { addr: String::new(), ..wanted(2) };
        assert_eq!(steps(&roster(&[member(1, true, 1)]), &[wanted(1), nowhere]), []);
    }

    #[test]
    fn a_replacement_votes_before_the_one_that_goes_is_taken_out() {
        let members = roster(&[
            member(1, true, 10_000),
            member(2, true, 10_000),
            member(3, true, 10_000),
            member(4, false, 10_000),
        ]);
        let records = [wanted(1), wanted(2), wanted(4)];
        assert_eq!(steps(&members, &records), [Step::Vote([1, 2, 3, 4].into())]);
    }

    #[test]
    fn who_is_no_manager_any_more_loses_its_vote_and_then_leaves() {
        let both = roster(&[member(1, true, 10_000), member(2, true, 10_000)]);
        assert_eq!(steps(&both, &[wanted(1)]), [Step::Vote([1].into())]);
        let learner = roster(&[member(1, true, 10_000), member(2, false, 3)]);
        assert_eq!(steps(&learner, &[wanted(1)]), [Step::Leave([2].into())]);
    }

    #[test]
    fn a_leader_that_is_to_go_hands_over_first() {
        let both = roster(&[member(1, true, 10_000), member(2, true, 10_000)]);
        assert_eq!(steps(&both, &[wanted(2)]), [Step::HandOver]);
        assert_eq!(steps(&both, &[]), [], "records that name nobody are not believed");
    }

    #[test]
    fn an_unfinished_change_is_finished_before_anything_else() {
        let mut half = roster(&[member(1, true, 10_000), member(2, true, 10_000)]);
        half.is_changing = true;
        assert_eq!(steps(&half, &[wanted(1), wanted(2)]), [Step::Vote([1, 2].into())]);
        assert_eq!(steps(&half, &[wanted(1)]), [Step::Vote([1].into())]);
    }

    #[test]
    fn a_manager_that_is_reached_elsewhere_is_moved() {
        let moved = Wanted { addr: "b1".into(), ..wanted(1) };
        assert_eq!(
            steps(&roster(&[member(1, true, 1)]), std::slice::from_ref(&moved)),
            [Step::Move(moved.clone())]
        );
    }

    #[test]
    fn a_majority_is_more_than_half() {
        for (count, voters, expected) in [
            (0, 0, false),
            (1, 1, true),
            (1, 2, false),
            (2, 2, true),
            (1, 3, false),
            (2, 3, true),
            (2, 4, false),
            (3, 4, true),
        ] {
            assert_eq!(has_majority(count, voters), expected, "{count} of {voters}");
        }
    }

    #[test]
    fn a_manager_may_go_while_a_majority_of_the_others_answers() {
        for (voters, answering, expected) in [
            (1, 0, false),
            // An only manager stays, whoever else answers.
            (1, 1, false),
            (2, 1, true),
            (2, 0, false),
            (3, 2, true),
            (3, 1, false),
            (5, 3, true),
            (5, 2, false),
        ] {
            assert_eq!(keeps_quorum(voters, answering), expected, "{voters}, {answering}");
        }
    }
}
