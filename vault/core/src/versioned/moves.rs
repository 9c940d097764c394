//! Until when labels pointed to versions: who has not looked since may still have such a version.

use std::sync::Arc;

use super::VersionLabel;

/// A label that pointed to a version until the log index that moved it away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Move {
    pub label: VersionLabel,
    pub number: u32,
    pub index: u64,
}

/// The last move of each label away from each version that is kept. Most objects have none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Moves(
    /// Never an empty list. In the order of their moves.
    Option<Arc<Vec<Move>>>,
);

impl Moves {
    /// All moves, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = &Move> {
        self.0.iter().flat_map(|moves| moves.iter())
    }

    /// Notes a move, in place of the one before of that label away from that version.
    pub(crate) fn insert(&mut self, one: Move) {
        let is_other = |known: &Move| known.label != one.label || known.number != one.number;
        *self = self.iter().filter(|known| is_other(known)).chain([&one]).cloned().collect();
    }

    /// Keeps some moves.
    pub(crate) fn retain(&mut self, is_kept: impl Fn(&Move) -> bool) {
        if !self.iter().all(&is_kept) {
            *self = self.iter().filter(|one| is_kept(one)).cloned().collect();
        }
    }
}

impl FromIterator<Move> for Moves {
    fn from_iter<I: IntoIterator<Item = Move>>(moves: I) -> Self {
        let moves: Vec<Move> = moves.into_iter().collect();
        Self((!moves.is_empty()).then(|| Arc::new(moves)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(label: &VersionLabel, number: u32, index: u64) -> Move {
        Move { label: label.clone(), number, index }
    }

    #[test]
    fn the_last_move_of_each_label_away_from_each_version_is_kept() {
        let (current, previous) = (&VersionLabel::current(), &VersionLabel::previous());
        let mut moves = Moves::default();
        for (label, number, index) in
            [(current, 1, 5), (current, 2, 6), (previous, 1, 6), (current, 1, 7)]
        {
            moves.insert(one(label, number, index));
        }
        let kept = [one(current, 2, 6), one(previous, 1, 6), one(current, 1, 7)];
        assert!(moves.iter().eq(&kept), "{moves:?}");
        moves.retain(|one| one.number == 1);
        assert!(moves.iter().eq(&kept[1..]), "{moves:?}");
        moves.retain(|_| false);
        assert_eq!(moves, Moves::default(), "none is no list");
    }
}
