//! The policy of a queue: who may do what with it (IAM: "Policy evaluation logic", for the one
//! policy that stands on a resource). A statement that denies counts before all that allow.

mod condition;
mod pattern;

use serde_json::{Map, Value};

pub use condition::Circumstances;
use condition::Test;
use pattern::matches;

use crate::limits::POLICY_STATEMENTS_MAX;
use crate::names::ACCOUNT;

/// Why a text is no policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PolicyError(&'static str);

/// What somebody wants to do.
#[derive(Clone, Copy, Debug)]
pub struct Question<'q> {
    pub circumstances: Circumstances<'q>,
    /// The action, and what it is a batch of: who may send may send many. Small letters.
    pub actions: [&'q str; 2],
    /// The queue's ARN.
    pub resource: &'q str,
}

/// What a policy says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed,
    Denied,
    /// Nothing about it.
    Silent,
}

/// A policy, read.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    statements: Vec<Statement>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Effect {
    Allow,
    Deny,
}

#[derive(Clone, Debug)]
struct Statement {
    effect: Effect,
    principals: Listed<Principals>,
    /// Patterns in small letters, without `sqs:`.
    actions: Listed<Vec<String>>,
    /// Patterns of ARNs; none: the queue that the policy stands on.
    resources: Listed<Vec<String>>,
    tests: Vec<Test>,
}

/// What a statement names, or all others.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed<T> {
    named: T,
    is_not: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Principals {
    everybody: bool,
    /// Everybody who signs.
    account: bool,
    arns: Vec<String>,
}

impl Policy {
    /// Reads a policy's JSON.
    ///
    /// # Errors
    /// What no policy can have; an operator or a key of a condition that is not known here is none
    /// of that.
    pub fn parse(text: &str) -> Result<Policy, PolicyError> {
        let policy: Value = serde_json::from_str(text).map_err(|_| PolicyError("it is no JSON"))?;
        let policy = policy
            .as_object()
            .ok_or(PolicyError("it must be a JSON object"))?;
        only(policy, &["Version", "Id", "Statement"])?;
        if let Some(version) = policy.get("Version")
            && version != "2012-10-17"
            && version != "2008-10-17"
        {
            return Err(PolicyError("Version must be 2012-10-17 or 2008-10-17"));
        }
        let statements = match policy.get("Statement") {
            Some(Value::Array(statements)) => statements.as_slice(),
            Some(one) => std::slice::from_ref(one),
            None => return Err(PolicyError("it needs a Statement")),
        };
        if statements.len() > POLICY_STATEMENTS_MAX {
            return Err(PolicyError("it has more than 20 statements"));
        }
        let statements = statements.iter().map(Statement::read);
        Ok(Policy {
            statements: statements.collect::<Result<_, _>>()?,
        })
    }

    /// What it says to a question about the queue that it stands on.
    pub fn judge(&self, question: &Question<'_>) -> Verdict {
        let mut verdict = Verdict::Silent;
        for statement in &self.statements {
            match (statement.effect, statement.applies(question)) {
                (_, Some(false)) | (Effect::Allow, None) => {}
                (Effect::Allow, Some(true)) => verdict = Verdict::Allowed,
                (Effect::Deny, _) => return Verdict::Denied,
            }
        }
        verdict
    }
}

impl Statement {
    fn read(statement: &Value) -> Result<Self, PolicyError> {
        let members = statement
            .as_object()
            .ok_or(PolicyError("a statement must be a JSON object"))?;
        only(
            members,
            &[
                "Sid",
                "Effect",
                "Principal",
                "NotPrincipal",
                "Action",
                "NotAction",
                "Resource",
                "NotResource",
                "Condition",
            ],
        )?;
        if members.get("Sid").is_some_and(|sid| !sid.is_string()) {
            return Err(PolicyError("Sid must be a text"));
        }
        let effect = match members.get("Effect").and_then(Value::as_str) {
            Some("Allow") => Effect::Allow,
            Some("Deny") => Effect::Deny,
            _ => return Err(PolicyError("Effect must be Allow or Deny")),
        };
        let principals = either(members, "Principal", "NotPrincipal", Principals::read)?
            .ok_or(PolicyError("a statement needs a Principal"))?;
        if principals.is_not && effect == Effect::Allow {
            // It would let in everybody that nobody thought of.
            return Err(PolicyError("NotPrincipal goes with Deny only"));
        }
        let actions = either(members, "Action", "NotAction", actions)?
            .ok_or(PolicyError("a statement needs an Action"))?;
        let resource = |value: &Value| texts(value, PolicyError("Resource must be ARNs"));
        let resources = either(members, "Resource", "NotResource", resource)?;
        Ok(Self {
            effect,
            principals,
            actions,
            resources: resources.unwrap_or(Listed {
                named: vec!["*".to_owned()],
                is_not: false,
            }),
            tests: (members.get("Condition")).map_or(Ok(Vec::new()), Test::read)?,
        })
    }

    /// Whether the statement is about this; `None`: nobody here knows.
    fn applies(&self, question: &Question<'_>) -> Option<bool> {
        let who = question.circumstances.who;
        let is_principal = match self.principals.is_not {
            // Who spares the account and one of its users means that user alone (IAM: NotPrincipal).
            true => self.principals.named.name(who),
            false => self.principals.named.hold(who),
        };
        let named = &self.actions.named;
        let is_action = named.iter().any(|pattern| {
            let mut actions = question.actions.iter();
            actions.any(|action| matches(pattern, action))
        });
        if is_principal == self.principals.is_not || is_action == self.actions.is_not {
            return Some(false);
        }
        let mut answer = self.is_resource(question.resource);
        for test in &self.tests {
            match test.holds(&question.circumstances) {
                Some(true) => {}
                Some(false) => return Some(false),
                None => answer = answer.filter(|known| !known),
            }
        }
        answer
    }

    fn is_resource(&self, arn: &str) -> Option<bool> {
        let named = &self.resources.named;
        let is_named = named.iter().any(|pattern| matches(pattern, arn));
        // A variable could be anything.
        let is_known = is_named || !named.iter().any(|pattern| pattern.contains("${"));
        is_known.then_some(is_named != self.resources.is_not)
    }
}

impl Principals {
    fn read(value: &Value) -> Result<Self, PolicyError> {
        const WRONG: PolicyError =
            PolicyError("Principal must be \"*\" or {\"AWS\": account, ARN or a list of them}");
        let mut principals = Principals::default();
        if value == "*" {
            principals.everybody = true;
            return Ok(principals);
        }
        for (kind, named) in value.as_object().ok_or(WRONG)? {
            let named = texts(named, WRONG)?;
            match kind.as_str() {
                "AWS" => named.into_iter().for_each(|name| principals.add(name)),
                // Nobody here is one.
                "Service" | "Federated" | "CanonicalUser" => {}
                _ => return Err(WRONG),
            }
        }
        Ok(principals)
    }

    fn add(&mut self, name: String) {
        let account = name
            .strip_prefix("arn:aws:iam::")
            .map_or(Some(name.as_str()), |rest| rest.strip_suffix(":root"));
        match (name.as_str(), account) {
            ("*", _) => self.everybody = true,
            (_, Some(ACCOUNT)) => self.account = true,
            _ => self.arns.push(name),
        }
    }

    fn hold(&self, who: Option<&super::Identity>) -> bool {
        self.name(who) || (self.account && who.is_some())
    }

    /// Whether it is named itself, not only by its account.
    fn name(&self, who: Option<&super::Identity>) -> bool {
        self.everybody || who.is_some_and(|who| self.arns.contains(&who.arn))
    }
}

/// Patterns of actions, without the service before them.
fn actions(value: &Value) -> Result<Vec<String>, PolicyError> {
    let named = texts(value, PolicyError("Action must be names of actions"))?;
    let pattern = |name: String| {
        let name = name.to_ascii_lowercase();
        match name.strip_prefix("sqs:") {
            Some(name) if !name.is_empty() => Ok(name.to_owned()),
            _ if name == "*" => Ok(name),
            _ => Err(PolicyError("an Action must be * or begin with SQS:")),
        }
    };
    named.into_iter().map(pattern).collect()
}

/// A member of one of two names, of which the second says "all but".
fn either<T>(
    members: &Map<String, Value>,
    name: &str,
    not: &str,
    read: impl Fn(&Value) -> Result<T, PolicyError>,
) -> Result<Option<Listed<T>>, PolicyError> {
    let (value, is_not) = match (members.get(name), members.get(not)) {
        (Some(_), Some(_)) => {
            return Err(PolicyError(
                "a statement says the same with Not and without",
            ));
        }
        (Some(value), None) => (value, false),
        (None, Some(value)) => (value, true),
        (None, None) => return Ok(None),
    };
    Ok(Some(Listed {
        named: read(value)?,
        is_not,
    }))
}

/// A member that is misspelt must not be one that is not there.
fn only(members: &Map<String, Value>, known: &[&str]) -> Result<(), PolicyError> {
    match members.keys().all(|name| known.contains(&name.as_str())) {
        true => Ok(()),
        false => Err(PolicyError("it has a member that no policy has")),
    }
}

/// A text, or a list of at least one.
fn texts(value: &Value, wrong: PolicyError) -> Result<Vec<String>, PolicyError> {
    let text = |value: &Value| value.as_str().map(str::to_owned).ok_or(wrong);
    match value {
        Value::Array(values) if !values.is_empty() => values.iter().map(text).collect(),
        one => Ok(vec![text(one)?]),
    }
}

#[cfg(test)]
mod tests;
