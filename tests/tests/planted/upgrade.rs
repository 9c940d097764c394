//! Two versions of the program in one cluster: the one that is given away, and one that knows the next feature level.

use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, RwLock};
use std::thread;
use std::time::{Duration, Instant};

use prost::Message;
use tests::cluster::{form, leader, nodes, status};
use tests::messages::{NewVersion, RotateValuesRequest};
use tests::{Daemon, Node, Wire, wait_until};

/// No write waits longer, whatever is restarted meanwhile.
const PATIENCE: Duration = Duration::from_secs(20);

/// A manager and its program. Whoever writes by it holds it for reading, so that nobody writes by one that is stopped.
struct Place<'a> {
    node: &'a Node,
    daemon: Mutex<Option<Daemon<'a>>>,
    open: RwLock<()>,
}

fn older(node: &Node) -> Command {
    node.cofferd()
}

fn newer(node: &Node) -> Command {
    let mut command = node.cofferd_at(&tests::planted::program());
    command.env("COFFER_PLANTED_LEVEL", "3");
    command
}

impl Place<'_> {
    /// Ends the program and starts another one in its place.
    fn runs(&self, program: fn(&Node) -> Command) {
        let _alone = self.open.write().unwrap();
        let mut daemon = self.daemon.lock().unwrap();
        daemon.take().expect("one runs").end();
        *daemon = Some(Daemon::start(self.node, program(self.node)));
        drop(daemon);
        wait_until("it follows", || self.node.coffer(&["config", "ls"]).code == Some(0));
    }
}

/// What those who write were told.
#[derive(Default)]
struct Told {
    done: u64,
    longest: Duration,
    refused: Vec<String>,
}

fn write(places: &[Place<'_>], by: usize, is_over: &AtomicBool) -> Told {
    let mut told = Told::default();
    for round in by.. {
        if is_over.load(Ordering::Relaxed) {
            return told;
        }
        let place = &places[round % places.len()];
        let Ok(_open) = place.open.try_read() else { continue };
        let version =
            NewVersion { reference: format!("w{by}"), value: b"next".to_vec(), expected: 0 };
        let request =
            RotateValuesRequest { versions: vec![version], ..RotateValuesRequest::default() };
        let (wire, start) = (Wire::lazy(place.node), Instant::now());
        match wire.call_within(PATIENCE, "/coffer.v1.Configs/Rotate", request.encode_to_vec()) {
            Some(Ok(_)) => told.done += 1,
            Some(Err(status)) => told.refused.push(format!("{status:?}")),
            None => told.refused.push("no answer".to_owned()),
        }
        told.longest = told.longest.max(start.elapsed());
    }
    told
}

fn level(node: &Node) -> Option<u64> {
    status(node)?["FeatureLevel"].as_u64()
}

/// Changes a label: what the newer program has learned. The older one is never asked to, since its entries say that
/// everybody knows them.
fn change_label(node: &Node) -> tests::Run {
    node.coffer(&["config", "update", "--label-add", "by=hand", "quiet"])
}

/// Has this one lead, by restarting whoever does.
fn has_lead(places: &[Place<'_>; 3], wanted: usize, program: [fn(&Node) -> Command; 3]) {
    wait_until("it leads", || {
        let leads = leader(&places.each_ref().map(|place| place.node));
        if leads != wanted {
            places[leads].runs(program[leads]);
        }
        leads == wanted
    });
}

#[test]
fn case_49_managers_of_two_versions_work_together_and_none_goes_back_too_far() {
    let test = "case_49_managers_of_two_versions_work_together_and_none_goes_back_too_far";
    let Some(nodes) = nodes::<3>(test) else { return };
    tests::planted::program();
    let mut daemons = form(&nodes).into_iter();
    let places = nodes.each_ref().map(|node| Place {
        node,
        daemon: Mutex::new(daemons.next()),
        open: RwLock::default(),
    });
    for name in ["w0", "w1", "quiet"] {
        nodes[0].coffer_reading(&["config", "create", name, "-"], b"first").said();
    }
    let is_over = AtomicBool::new(false);
    let told = thread::scope(|scope| {
        let writers = [0, 1].map(|by| {
            let (places, is_over) = (&places, &is_over);
            scope.spawn(move || write(places, by, is_over))
        });
        let over = Over(&is_over);
        upgrade(&places);
        drop(over);
        writers.map(|writer| writer.join().unwrap())
    });
    for Told { done, longest, refused } in told {
        println!("{done} writes, the longest took {longest:.1?}");
        assert!(refused.is_empty(), "refused: {refused:?}");
        assert!(done > 20, "{done} writes");
    }
}

/// Those who write stop, also when a check fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn upgrade(places: &[Place<'_>; 3]) {
    let nodes = places.each_ref().map(|place| place.node);
    // An older one leads, then the newer one; what is new waits, and everything else goes on.
    let first = (leader(&nodes) + 1) % 3;
    places[first].runs(newer);
    let early = "this needs feature level 3, and the cluster is at level 2";
    let refused = |node: &Node| change_label(node).stderr.contains(early);
    assert!(refused(nodes[first]));
    let mut programs: [fn(&Node) -> Command; 3] = [older; 3];
    programs[first] = newer;
    has_lead(places, first, programs);
    assert!(refused(nodes[first]));

    // Back, and there again.
    places[first].runs(older);
    for place in places {
        assert_eq!(level(place.node), Some(2));
        place.runs(newer);
    }
    for node in nodes {
        wait_until("the level rose", || level(node) == Some(3));
        change_label(node).said();
    }

    // From here nobody goes back, and whoever tries changes nothing.
    let place = &places[first];
    let _alone = place.open.write().unwrap();
    place.daemon.lock().unwrap().take().expect("it runs").end();
    let Err(ended) = Daemon::try_start(place.node, older(place.node)) else {
        panic!("an older version started on a state that it does not know")
    };
    assert_eq!(ended.status.code(), Some(1), "{}", ended.log);
    let last = ended.log.lines().last().unwrap_or_default();
    let version = format!("feature level 3 of cofferd {}", env!("CARGO_PKG_VERSION"));
    assert!(last.contains(&version), "{last}");
    let daemon = Daemon::start(place.node, newer(place.node));
    change_label(place.node).said();
    daemon.end();
}
