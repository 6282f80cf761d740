//! `levada group delete`.

use levada_client::Client;
use serde::Serialize;

use super::DeleteArgs;
use crate::context::Context;
use crate::error::CliResult;
use crate::output::{Report, Table};
use crate::remote::confirm;

#[derive(Serialize)]
struct Deleted {
    action: &'static str,
    groups: Vec<String>,
}

impl Report for Deleted {
    fn table(&self) -> Table {
        let mut table = Table::new(&["group", "action"]);
        for group in &self.groups {
            table.row([group.as_str(), self.action]);
        }
        table
    }

    fn names(&self) -> Vec<String> {
        self.groups.clone()
    }
}

pub async fn delete(client: &Client, args: &DeleteArgs, context: &Context) -> CliResult {
    let question = format!("Delete '{}' with all offsets?", args.names.join("', '"));
    confirm(context, args.yes, &question)?;
    let mut groups = Vec::new();
    for name in &args.names {
        client.delete_group(name).await?;
        groups.push(name.clone());
    }
    context.print(&Deleted {
        action: "deleted",
        groups,
    })
}
