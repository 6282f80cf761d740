//! SQS: CancelMessageMoveTask. Not there yet: see [`no_move_tasks`].

use crate::call::Call;
use crate::errors::{Result, no_move_tasks};
use crate::protocol::Fields;

pub struct Request;

impl Request {
    pub fn read(_: &Call, fields: Fields<'_>) -> Result<Self> {
        fields.needed("TaskHandle")?;
        Ok(Self)
    }
}

pub async fn run(_: &Call, _: Request) -> Result<()> {
    Err(no_move_tasks())
}
