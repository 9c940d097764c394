//! The rotation's rules as tables, and whole rotations of random worlds: nobody who is there ever stands alone.

use proptest::prelude::*;
use std::collections::BTreeSet;

use super::*;

const DAY: u64 = 86_400;
const NOW: u64 = 1_800_000_000;
const OPTIONS: Options = Options { grace_secs: DAY, is_for_all: false };
const OLD: Generation = Generation(1);
const NEW: Generation = Generation(2);

fn rotation(manner: Manner, phase: Phase) -> Rotation {
    Rotation { id: 7, from: OLD, to: NEW, manner, phase, since_secs: NOW }
}

fn node(rank: Rank, issuer: Generation, turn: u32) -> Standing {
    let ack = (turn > 0).then_some(Ack { rotation: 7, turn });
    Standing { rank, seen_secs: NOW, issuer, asked_secs: None, ack }
}

fn nodes<const N: usize>(all: [Standing; N]) -> BTreeMap<u32, Standing> {
    (0..).zip(all).collect()
}

fn step(rotation: Rotation, nodes: &BTreeMap<u32, Standing>, now_secs: u64) -> Step<u32> {
    rotation.look(nodes, &OPTIONS, now_secs).step
}

#[test]
fn each_phase_has_its_signer_its_trust_and_its_turn() {
    use Phase::{Prepared, Reissuing, Retiring, Trusting, Withdrawing};
    for (phase, signer, trusted, turn) in [
        (Prepared, OLD, (true, false), None),
        (Trusting, OLD, (true, true), Some(1)),
        (Reissuing, NEW, (true, true), Some(1)),
        (Retiring, NEW, (false, true), Some(2)),
        (Withdrawing, OLD, (true, false), Some(2)),
    ] {
        let rotation = rotation(Manner::Careful, phase);
        assert_eq!((rotation.signer(), rotation.trusted()), (signer, trusted), "{phase:?}");
        assert_eq!(rotation.turn().map(|ack| ack.turn), turn, "{phase:?}");
        assert!(rotation.trusts(rotation.signer()), "who signs is trusted: {phase:?}");
        assert!(!rotation.trusts(Generation(3)));
    }
    for (manner, old, new) in [
        (Manner::Careful, None, Some(OLD)),
        (Manner::Reversed, Some(NEW), Some(OLD)),
        (Manner::Compromised, None, None),
    ] {
        let rotation = rotation(manner, Reissuing);
        assert_eq!((rotation.voucher(OLD), rotation.voucher(NEW)), (old, new), "{manner:?}");
        assert_eq!(rotation.voucher(Generation(3)), None);
    }
}

#[test]
fn phases_follow_each_other_and_whoever_comes_second_changes_nothing() {
    use Phase::{Prepared, Reissuing, Retiring, Trusting, Withdrawing};
    let all = [Prepared, Trusting, Reissuing, Retiring, Withdrawing];
    let follows = [(Prepared, Trusting), (Trusting, Reissuing), (Reissuing, Retiring)];
    for (before, after) in all.into_iter().flat_map(|one| all.map(|other| (one, other))) {
        let entered = rotation(Manner::Careful, before).enter(7, after, NOW + 1);
        let expected = Rotation { since_secs: NOW + 1, ..rotation(Manner::Careful, after) };
        let may = follows.contains(&(before, after));
        assert_eq!(
            entered,
            if may { Ok(expected) } else { Err(OutOfStep) },
            "{before:?} {after:?}"
        );
        assert_eq!(rotation(Manner::Careful, before).enter(6, after, NOW), Err(OutOfStep));
    }
}

#[test]
fn one_rotation_goes_on_at_one_time_and_no_generation_comes_twice() {
    let begin = |running: Option<&Rotation>, last| {
        Rotation::begin(running, 9, (OLD, Generation(last)), Manner::Careful, NOW)
    };
    let begun = begin(None, 4).unwrap();
    assert_eq!((begun.from, begun.to, begun.phase), (OLD, Generation(5), Phase::Prepared));
    assert_eq!(begin(Some(&begun), 5), Err(BeginError::Running { to: Generation(5) }));
    assert_eq!(begin(None, u32::MAX), Err(BeginError::Exhausted));
}

#[test]
fn case_c56_a_rotation_is_taken_back_in_each_phase_in_which_it_can_be() {
    use Phase::{Prepared, Reissuing, Retiring, Trusting, Withdrawing};
    let back = |phase| Ok(Some(Rotation { id: 8, phase, ..rotation(Manner::Careful, phase) }));
    let reversed = Rotation { id: 8, from: NEW, to: OLD, ..rotation(Manner::Reversed, Reissuing) };
    for (manner, phase, expected) in [
        (Manner::Careful, Prepared, Ok(None)),
        (Manner::Careful, Trusting, back(Withdrawing)),
        (Manner::Careful, Reissuing, Ok(Some(reversed))),
        (Manner::Careful, Retiring, Err(AbortError::TooLate)),
        (Manner::Careful, Withdrawing, Err(AbortError::TakenBack)),
        (Manner::Reversed, Reissuing, Err(AbortError::TakenBack)),
        (Manner::Compromised, Prepared, Ok(None)),
        (Manner::Compromised, Trusting, Err(AbortError::Compromised)),
        (Manner::Compromised, Retiring, Err(AbortError::Compromised)),
    ] {
        let aborted = rotation(manner, phase).abort(7, 8, NOW);
        assert_eq!(aborted, expected, "{manner:?} {phase:?}");
    }
    assert_eq!(rotation(Manner::Careful, Trusting).abort(6, 8, NOW), Err(AbortError::Other));
}

#[test]
fn all_that_are_there_are_waited_for_and_who_is_not_is_named() {
    let careful = |phase| rotation(Manner::Careful, phase);
    let worker = |issuer, turn| node(Rank::Worker, issuer, turn);
    let both = nodes([worker(OLD, 1), worker(OLD, 0)]);
    assert_eq!(step(careful(Phase::Prepared), &both, NOW), Step::Enter(Phase::Trusting));
    assert_eq!(step(careful(Phase::Trusting), &both, NOW + 599), Step::Wait);
    let late = step(careful(Phase::Trusting), &both, NOW + 600);
    assert_eq!(late, Step::Enter(Phase::Reissuing), "there are cross certificates");
    let told = nodes([worker(OLD, 1), worker(OLD, 1)]);
    assert_eq!(step(careful(Phase::Trusting), &told, NOW), Step::Enter(Phase::Reissuing));
    let half = nodes([worker(NEW, 1), worker(OLD, 1)]);
    let outlook = careful(Phase::Reissuing).look(&half, &OPTIONS, NOW + DAY);
    assert_eq!(outlook.step, Step::Renew(vec![1]));
    assert_eq!((outlook.counted, outlook.trusting, outlook.certified), (2, 2, 1));
    // Its grace is over: it comes back by itself, and blocks nothing.
    let mut away = half.clone();
    away.get_mut(&0).unwrap().seen_secs = NOW + 1;
    let outlook = careful(Phase::Reissuing).look(&away, &OPTIONS, NOW + DAY + 1);
    assert_eq!((outlook.step, outlook.stale), (Step::Enter(Phase::Retiring), vec![1]));
    let for_all = Options { is_for_all: true, ..OPTIONS };
    let outlook = careful(Phase::Reissuing).look(&away, &for_all, NOW + 30 * DAY);
    assert_eq!((outlook.step, outlook.stale), (Step::Renew(vec![1]), vec![]));
    // It comes back while trust is taken from the old root.
    assert_eq!(step(careful(Phase::Retiring), &half, NOW), Step::Renew(vec![1]));
    let retired = nodes([worker(NEW, 2), worker(NEW, 1)]);
    assert_eq!(step(careful(Phase::Retiring), &retired, NOW + 600), Step::Wait);
    let finish = Finish { signer: NEW, dropped: OLD, is_denied: false };
    let done = nodes([worker(NEW, 2), worker(NEW, 2)]);
    assert_eq!(step(careful(Phase::Retiring), &done, NOW), Step::Finish(finish));
    let finish = Finish { signer: OLD, dropped: NEW, is_denied: false };
    assert_eq!(step(careful(Phase::Withdrawing), &retired, NOW), Step::Wait);
    assert_eq!(step(careful(Phase::Withdrawing), &done, NOW), Step::Finish(finish));
    assert_eq!(
        step(careful(Phase::Reissuing), &BTreeMap::new(), NOW),
        Step::Enter(Phase::Retiring)
    );
}

#[test]
fn case_c60_what_a_node_said_of_another_rotation_counts_for_nothing() {
    let trusting = rotation(Manner::Careful, Phase::Trusting);
    let said = |rotation, turn| {
        let ack = Some(Ack { rotation, turn });
        nodes([Standing { ack, ..node(Rank::Worker, OLD, 0) }])
    };
    assert_eq!(step(trusting, &said(6, 2), NOW), Step::Wait, "an old one");
    assert_eq!(step(trusting, &said(7, 1), NOW), Step::Enter(Phase::Reissuing));
    // Late, doubled and reordered ones: the greatest counts.
    let acks = [Some(Ack { rotation: 7, turn: 2 }), None, Some(Ack { rotation: 6, turn: 2 })];
    assert_eq!(acks.into_iter().max().unwrap(), Some(Ack { rotation: 7, turn: 2 }));
}

#[test]
fn managers_change_first_and_whoever_leads_last_and_alone() {
    let reissuing = rotation(Manner::Careful, Phase::Reissuing);
    let ranks = [Rank::Leader, Rank::Worker, Rank::Manager, Rank::Worker];
    let mut all = nodes(ranks.map(|rank| node(rank, OLD, 1)));
    assert_eq!(step(reissuing, &all, NOW), Step::Renew(vec![2, 1, 3]));
    for id in [1, 2, 3] {
        all.get_mut(&id).unwrap().asked_secs = Some(NOW);
    }
    assert_eq!(step(reissuing, &all, NOW + 59), Step::Wait);
    assert_eq!(step(reissuing, &all, NOW + 60), Step::Renew(vec![2, 1, 3]), "asked again");
    for id in [1, 2, 3] {
        all.get_mut(&id).unwrap().issuer = NEW;
    }
    assert_eq!(step(reissuing, &all, NOW + 60), Step::Renew(vec![0]));
    let many: BTreeMap<_, _> = (0..100).map(|id| (id, node(Rank::Worker, OLD, 1))).collect();
    let Step::Renew(batch) = step(reissuing, &many, NOW) else { panic!("they are asked") };
    assert_eq!(batch, (0..30).collect::<Vec<_>>());
    let harsh = rotation(Manner::Compromised, Phase::Reissuing);
    let Step::Renew(batch) = step(harsh, &many, NOW) else { panic!("they are asked") };
    assert_eq!(batch.len(), 100);
}

/// With a key in other hands nobody is waited for long, whoever answers.
#[test]
fn a_compromised_root_is_gone_within_a_minute_and_what_it_signed_is_refused() {
    let mut world = World::new(3);
    world.begin(Manner::Compromised);
    let started = world.now_secs;
    while world.rotation.is_some() {
        // The first node hears of it; the others are silent, and still counted.
        world.hear(0);
        world.drive();
        world.now_secs += 1;
        assert!(world.now_secs - started < 60, "{:?}", world.rotation);
    }
    assert_eq!((world.steady, world.denied.contains(&OLD)), (NEW, true));
    assert_eq!(world.nodes[0].leaf, NEW);
    assert_eq!(world.nodes[0].voucher, None, "the old key vouches for nothing");
}

/// A node of a model: what is on its disk.
#[derive(Clone, Debug)]
struct Node {
    trust: BTreeSet<Generation>,
    leaf: Generation,
    /// Who vouches for the root of its certificate, beside it.
    voucher: Option<Generation>,
    seen_secs: u64,
    asked_secs: Option<u64>,
    ack: Option<Ack>,
}

/// A cluster of a model.
#[derive(Clone, Debug)]
struct World {
    nodes: Vec<Node>,
    rotation: Option<Rotation>,
    /// Who signs while nothing goes on, and who vouched for that in the last rotation.
    steady: Generation,
    voucher: Option<Generation>,
    last_used: Generation,
    last_id: u64,
    denied: BTreeSet<Generation>,
    now_secs: u64,
}

impl World {
    fn new(count: usize) -> Self {
        let (trust, leaf) = (BTreeSet::from([OLD]), OLD);
        let (voucher, asked_secs, ack) = (None, None, None);
        let node = Node { trust, leaf, voucher, seen_secs: NOW, asked_secs, ack };
        let (denied, rotation) = (BTreeSet::new(), None);
        let nodes = vec![node; count];
        let (steady, last_used, last_id, now_secs) = (OLD, OLD, 0, NOW);
        Self { nodes, rotation, steady, voucher, last_used, last_id, denied, now_secs }
    }

    fn begin(&mut self, manner: Manner) {
        let (of, id) = ((self.steady, self.last_used), self.last_id + 1);
        let begun = Rotation::begin(self.rotation.as_ref(), id, of, manner, self.now_secs);
        if let Ok(rotation) = begun {
            (self.last_used, self.last_id) = (rotation.to, id);
            self.rotation = Some(rotation);
        }
    }

    fn abort(&mut self) {
        let Some(rotation) = self.rotation else { return };
        let new_id = self.last_id + 1;
        if let Ok(aborted) = rotation.abort(rotation.id, new_id, self.now_secs) {
            (self.rotation, self.last_id) = (aborted, new_id);
        }
    }

    /// A node is heard of, and hears what holds now: also by the way back, if its certificate is not believed any more.
    fn hear(&mut self, n: usize) {
        let (steady, rotation) = (self.steady, self.rotation);
        let signer = rotation.map_or(steady, |rotation| rotation.signer());
        let trusts = |generation| {
            rotation.map_or(generation == steady, |rotation| rotation.trusts(generation))
        };
        let voucher = rotation.map_or(self.voucher, |rotation| rotation.voucher(signer));
        let all = (1..=self.last_used.0).map(Generation);
        let node = &mut self.nodes[n];
        node.trust = all.filter(|one| trusts(*one)).collect();
        node.seen_secs = self.now_secs;
        node.ack = node.ack.max(rotation.and_then(|rotation| rotation.turn()));
        let is_believed = trusts(node.leaf) && !self.denied.contains(&node.leaf);
        if node.asked_secs.take().is_some() || !is_believed {
            (node.leaf, node.voucher) = (signer, voucher);
        }
    }

    fn standings(&self) -> BTreeMap<usize, Standing> {
        let standing = |node: &Node| Standing {
            rank: Rank::Worker,
            seen_secs: node.seen_secs,
            issuer: node.leaf,
            asked_secs: node.asked_secs,
            ack: node.ack,
        };
        self.nodes.iter().map(standing).enumerate().collect()
    }

    /// The leader looks, and does what is to be done.
    fn drive(&mut self) {
        let Some(rotation) = self.rotation else { return };
        match rotation.look(&self.standings(), &OPTIONS, self.now_secs).step {
            Step::Enter(phase) => {
                self.rotation = Some(rotation.enter(rotation.id, phase, self.now_secs).unwrap());
            }
            Step::Renew(asked) => {
                for n in asked {
                    self.nodes[n].asked_secs = Some(self.now_secs);
                }
            }
            Step::Wait => {}
            Step::Finish(Finish { signer, dropped, is_denied }) => {
                self.voucher = rotation.voucher(signer).filter(|_| !is_denied);
                self.steady = signer;
                if is_denied {
                    self.denied.insert(dropped);
                }
                self.rotation = None;
            }
        }
    }

    /// Whether each believes each other's certificate, of those that are waited for.
    fn is_whole(&self) -> bool {
        let is_there = |node: &&Node| self.now_secs - node.seen_secs <= OPTIONS.grace_secs;
        let there: Vec<_> = self.nodes.iter().filter(is_there).collect();
        let believes = |by: &Node, of: &Node| {
            let vouched = of.voucher.is_some_and(|voucher| by.trust.contains(&voucher));
            (by.trust.contains(&of.leaf) || vouched) && !self.denied.contains(&of.leaf)
        };
        there.iter().all(|by| there.iter().all(|of| believes(by, of)))
    }
}

#[derive(Clone, Debug)]
enum Event {
    Hear(usize),
    Drive,
    Pass(u64),
    Begin,
    Abort,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (0..4_usize).prop_map(Event::Hear),
        6 => Just(Event::Drive),
        2 => prop_oneof![1..700_u64, Just(DAY / 2), Just(DAY + 1)].prop_map(Event::Pass),
        1 => Just(Event::Begin),
        1 => Just(Event::Abort),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn case_25_c54_c55_nobody_who_is_there_ever_stands_alone(
        events in prop::collection::vec(event(), 1..120),
    ) {
        let mut world = World::new(4);
        for event in &events {
            match event {
                Event::Hear(n) => world.hear(*n),
                Event::Drive => world.drive(),
                Event::Pass(secs) => world.now_secs += secs,
                Event::Begin => world.begin(Manner::Careful),
                Event::Abort => world.abort(),
            }
            prop_assert!(world.is_whole(), "after {event:?}: {world:?}");
        }
        // Whatever happened: once everybody is heard of again, it comes to its end, and all are alike.
        for _ in 0..40 {
            (0..4).for_each(|n| world.hear(n));
            world.drive();
            world.now_secs += 1;
        }
        (0..4).for_each(|n| world.hear(n));
        prop_assert_eq!(world.rotation, None);
        for node in &world.nodes {
            prop_assert_eq!((node.leaf, &node.trust), (world.steady, &BTreeSet::from([world.steady])));
        }
    }
}
