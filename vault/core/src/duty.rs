//! What has to be done after something else, by whoever leads then: it stands in the state until the command
//! comes that fulfils it.

/// What is still to be done. Each is named by the entry that it came with; a later one takes its place.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Duties {
    /// A manager went that knew the data keys: another one, that it never had.
    pub key_after_loss: Option<u64>,
    /// Autolock went on: a data key that never lay on a disk in the clear.
    pub key_after_lock: Option<u64>,
    /// A manager went that knew the managers' join token: another one, under a data key that it never had.
    pub manager_token: Option<u64>,
}

impl Duties {
    /// What follows when whoever knew keys and tokens is a manager no more.
    pub(crate) fn after_loss(&mut self, index: u64) {
        self.key_after_loss = Some(index);
        self.manager_token = Some(index);
    }

    /// A key came into use that was made for these.
    pub(crate) fn key_changed(&mut self, fulfilled: &[u64]) {
        let is_open = |index: &u64| !fulfilled.contains(index);
        self.key_after_loss = self.key_after_loss.filter(is_open);
        self.key_after_lock = self.key_after_lock.filter(is_open);
    }

    /// The managers' token is another one. Under a key that the lost manager has, it is worth nothing.
    pub(crate) fn token_changed(&mut self) {
        if self.key_after_loss.is_none() {
            self.manager_token = None;
        }
    }

    /// Whether the managers' token can be changed for good.
    pub fn is_token_due(&self) -> bool {
        self.manager_token.is_some() && self.key_after_loss.is_none()
    }

    /// The duties that a data key fulfils which is made from now on; `is_locked` says whether the disks are.
    pub fn due_keys(&self, is_locked: bool) -> Vec<u64> {
        let locked = self.key_after_lock.filter(|_| is_locked);
        let mut due: Vec<_> = self.key_after_loss.into_iter().chain(locked).collect();
        due.dedup();
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duty_stays_until_what_was_made_for_it_comes() {
        let mut duties = Duties::default();
        duties.after_loss(5);
        assert!(!duties.is_token_due(), "the lost manager still opens what is sealed");
        duties.token_changed();
        assert_eq!(duties.manager_token, Some(5), "under a key that it has");
        // Another one goes while the key is made.
        let made_for = duties.due_keys(false);
        duties.after_loss(7);
        duties.key_changed(&made_for);
        assert_eq!(duties.key_after_loss, Some(7));
        duties.key_changed(&duties.due_keys(false));
        assert!(duties.is_token_due());
        duties.token_changed();
        assert_eq!(duties, Duties::default());
    }

    #[test]
    fn a_key_for_locked_disks_is_made_once_they_are() {
        let mut duties = Duties { key_after_lock: Some(4), ..Duties::default() };
        assert_eq!(duties.due_keys(false), []);
        duties.after_loss(5);
        duties.key_changed(&duties.due_keys(false));
        assert_eq!(duties.due_keys(true), [4]);
        duties.key_changed(&[4]);
        assert_eq!(duties.due_keys(true), []);
    }
}
