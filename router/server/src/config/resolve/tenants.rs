//! Tenants: who pays, and with which share. They are told by their keys.

use std::sync::Arc;

use atp_core::Weight;

use super::super::error::{Code, Issue};
use super::super::path::FieldPath;
use super::super::raw::RawKey;
use super::super::resolved::Tenant;
use super::Context;

/// The tenants of the keys so far.
#[derive(Default)]
pub(super) struct Tenants(Vec<Told>);

struct Told {
    tenant: Tenant,
    /// Which key gave the weight: its place and its name.
    by: Option<(usize, Arc<str>)>,
}

impl Tenants {
    /// The place of a key's tenant. Keys of one tenant may not give it different weights.
    pub(super) fn intern(&mut self, context: &mut Context<'_>, place: usize, path: &FieldPath, raw: &RawKey) -> usize {
        let name = raw.tenant.as_deref().unwrap_or(&raw.name);
        let index = self.0.iter().position(|told| *told.tenant.name == *name).unwrap_or(self.0.len());
        if index == self.0.len() {
            self.0.push(Told { tenant: Tenant { name: Arc::from(name), weight: Weight::ONE }, by: None });
        }
        let path = path.key("weight");
        let (least, most) = (Weight::LEAST.as_f64(), Weight::MOST.as_f64());
        let number = context.number(&path, raw.weight, least..=most, 1.0);
        let given = raw.weight.and_then(|_| Weight::new(number));
        let (Some(weight), Some(told)) = (given, self.0.get_mut(index)) else { return index };
        match &told.by {
            None => {
                told.tenant.weight = weight;
                told.by = Some((place, Arc::from(raw.name.as_str())));
            }
            Some((first, other)) if told.tenant.weight != weight => {
                let message = format!(
                    "the keys `{other}` (keys[{first}]) and `{}` (keys[{place}]) give their tenant different weights",
                    raw.name
                );
                let known = told.tenant.weight.as_f64();
                let allowed = format!("{known} here too, or no `weight` at one of them");
                context.fail(&path, Issue::new(Code::Conflict, &message).allowed(&allowed));
            }
            Some(_) => {}
        }
        index
    }

    /// The tenants, each at its place.
    pub(super) fn done(self) -> Vec<Tenant> {
        self.0.into_iter().map(|told| told.tenant).collect()
    }
}
