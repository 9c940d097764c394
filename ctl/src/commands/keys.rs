//! `coffer swarm rotate-keys`: starts it, and says how far it is.
//!
//! Interrupted, it leaves the rotation alone: the daemon goes on without an onlooker.

use tokio::time::sleep;

use crate::client::Client;
use crate::exit::Failure;
use crate::host::Host;
use crate::limits::KEYS_POLL_EVERY;
use crate::objects::KeyStatus;
use crate::out;
use crate::signals::Signals;

/// Starts a rotation, or joins the one that goes on, and waits for its end unless told not to.
pub(crate) async fn rotate(host: &Host, detach: bool) -> Result<(), Failure> {
    let client = Client::connect(host).await?;
    let mut signals = Signals::listen().map_err(Failure::Runtime)?;
    let status = client.rotate_keys().await?;
    if detach {
        return Ok(out::line(said(&status))?);
    }
    let epoch = status.epoch;
    tokio::select! {
        done = watch(&client, status) => done,
        () = signals.next() => {
            out::error_line(format_args!(
                "Operation continuing in background: cofferd seals all values under epoch {epoch}, \
                 also after a restart."
            ));
            Ok(())
        }
    }
}

/// Prints each line once.
async fn watch(client: &Client, mut status: KeyStatus) -> Result<(), Failure> {
    let mut last = String::new();
    loop {
        let line = said(&status);
        if line != last {
            out::line(&line)?;
            last = line;
        }
        if is_over(&status) {
            return Ok(());
        }
        sleep(KEYS_POLL_EVERY).await;
        status = client.key_status().await?;
    }
}

fn is_over(status: &KeyStatus) -> bool {
    status.values_left == 0 && status.epochs_kept == 1
}

fn said(status: &KeyStatus) -> String {
    let KeyStatus { epoch, values_left, .. } = status;
    if is_over(status) {
        format!("All values are sealed under epoch {epoch}; the older keys are gone.")
    } else {
        format!("sealing anew under epoch {epoch}: {values_left} values left")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_over_when_nothing_is_left_and_one_key_is_kept() {
        let over = "All values are sealed under epoch 2; the older keys are gone.";
        for (values_left, epochs_kept, expected) in [
            (1_234, 2, "sealing anew under epoch 2: 1234 values left"),
            (0, 2, "sealing anew under epoch 2: 0 values left"),
            (1, 1, "sealing anew under epoch 2: 1 values left"),
            (0, 1, over),
        ] {
            let status = KeyStatus { epoch: 2, values_left, epochs_kept };
            assert_eq!(said(&status), expected, "{values_left} left, {epochs_kept} kept");
        }
    }
}
