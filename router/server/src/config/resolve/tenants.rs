//! Tenants: who pays, and with which share. They are told by their keys; `tenants` may say more of them.

use std::sync::Arc;

use atp_core::Weight;

use super::super::document::shape::nearest;
use super::super::error::{Code, Issue};
use super::super::path::FieldPath;
use super::super::raw::{RawConfig, RawKey, RawTenant};
use super::super::resolved::Tenant;
use super::Context;

/// The tenant of callers without a key.
const ANONYMOUS: &str = "anonymous";

/// The tenants of the keys so far.
pub(super) struct Tenants<'r> {
    /// What the file says of tenants by name.
    named: &'r [(String, RawTenant)],
    told: Vec<Told>,
}

struct Told {
    tenant: Tenant,
    by: Option<By>,
}

/// Who gave a tenant its weight.
enum By {
    /// A key: its place and its name.
    Key(usize, Arc<str>),
    /// `tenants`.
    Name,
}

impl<'r> Tenants<'r> {
    /// None yet.
    pub(super) fn new(raw: &'r RawConfig) -> Self {
        Self { named: &raw.tenants.0, told: Vec::new() }
    }

    /// The place of a key's tenant. Who gives a tenant a weight may not give it another one.
    pub(super) fn intern(&mut self, context: &mut Context<'_>, place: usize, path: &FieldPath, raw: &RawKey) -> usize {
        let name = raw.tenant.as_deref().unwrap_or(&raw.name);
        let index = self.told.iter().position(|told| *told.tenant.name == *name).unwrap_or(self.told.len());
        if index == self.told.len() {
            let told = self.first(context, name);
            self.told.push(told);
        }
        let path = path.key("weight");
        let given = weight(context, &path, raw.weight);
        let (Some(weight), Some(told)) = (given, self.told.get_mut(index)) else { return index };
        let other = match &told.by {
            None => {
                told.tenant.weight = weight;
                told.by = Some(By::Key(place, Arc::from(raw.name.as_str())));
                return index;
            }
            Some(_) if told.tenant.weight == weight => return index,
            Some(By::Key(first, other)) => {
                format!("the keys `{other}` (keys[{first}]) and `{}` (keys[{place}])", raw.name)
            }
            Some(By::Name) => format!("`tenants` and the key `{}` (keys[{place}])", raw.name),
        };
        let known = told.tenant.weight.as_f64();
        let allowed = format!("{known} here too, or no `weight` at one of them");
        let issue = Issue::new(Code::Conflict, &format!("{other} give their tenant different weights"));
        context.fail(&path, issue.allowed(&allowed));
        index
    }

    /// A tenant with what the file says of it by name.
    fn first(&self, context: &mut Context<'_>, name: &str) -> Told {
        let raw = self.named.iter().find(|(known, _)| known == name).and_then(|(_, raw)| raw.weight);
        let given = weight(context, &FieldPath::of(&["tenants", name, "weight"]), raw);
        let tenant = Tenant { name: Arc::from(name), weight: given.unwrap_or(Weight::ONE) };
        Told { tenant, by: given.map(|_| By::Name) }
    }

    /// The tenants, each at its place.
    pub(super) fn done(self) -> Vec<Tenant> {
        self.told.into_iter().map(|told| told.tenant).collect()
    }
}

/// A weight that is given and right.
fn weight(context: &mut Context<'_>, path: &FieldPath, given: Option<f64>) -> Option<Weight> {
    let (least, most) = (Weight::LEAST.as_f64(), Weight::MOST.as_f64());
    let number = context.number(path, given, least..=most, 1.0);
    given.and_then(|_| Weight::new(number))
}

/// Refuses a tenant that nobody belongs to.
pub(super) fn check_known(context: &mut Context<'_>, path: &FieldPath, name: &str, known: &[Tenant], raw: &RawConfig) {
    // Of keys that are wrong it is not known whose they are.
    let unsure = context.is_reported(&FieldPath::of(&["keys"]));
    let anonymous = raw.keys.is_empty() && name == ANONYMOUS;
    if unsure || anonymous || known.iter().any(|tenant| *tenant.name == *name) {
        return;
    }
    let names: Vec<&str> = match raw.keys.is_empty() {
        true => vec![ANONYMOUS],
        false => known.iter().map(|tenant| &*tenant.name).collect(),
    };
    let listed: Vec<String> = names.iter().take(20).map(|name| format!("`{name}`")).collect();
    let issue =
        Issue::new(Code::UnknownReference, "no key belongs to a tenant of this name").found(&format!("`{name}`"));
    context.fail_name(path, issue.allowed(&listed.join(", ")).near(nearest(name, names.iter().copied())));
}
