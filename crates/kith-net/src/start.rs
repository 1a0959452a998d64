//! Opening the sockets and starting the threads.

use std::thread::JoinHandle;

use kith_transport::TransportContext;

use crate::api::NetConfig;
use crate::plane::{Handle, StartError};

pub(crate) fn start(
    _config: NetConfig,
    _context: TransportContext,
) -> Result<(Vec<Handle>, Vec<JoinHandle<()>>), StartError> {
    Err(StartError::Config("not implemented yet"))
}
