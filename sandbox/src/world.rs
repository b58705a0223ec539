//! All that the parts of the sandbox share.

use tokio_util::sync::CancellationToken;

use crate::arrived::Desk;
use crate::faults::Switches;
use crate::gateway::Gateway;
use crate::humans::Humans;
use crate::issuer::Issuer;
use crate::webhook::Verifier;

#[derive(Debug)]
pub(crate) struct World {
    pub switches: Switches,
    pub desk: Desk,
    pub gateway: Gateway,
    pub humans: Humans,
    pub verifier: Verifier,
    pub issuer: Issuer,
    /// Cancelled when the sandbox ends, and everything that it does with it.
    pub until: CancellationToken,
}
