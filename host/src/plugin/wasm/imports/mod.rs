//! x
pub mod net { 
//! x
/// x
pub struct Connection; }
