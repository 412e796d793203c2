//! Actions of a class of a policy.

use super::police::OpenPolice;
use super::{Mode, Parser, Words, queueing, set, unknown};
use crate::acl::Name;
use crate::ios::{TextError, What};
use crate::mqc::Actions;

/// Actions of a class that exist elsewhere.
const OTHER_ACTIONS: &[&str] = &[
    "account",
    "admit",
    "compression",
    "dbl",
    "drop",
    "encap-sequence",
    "estimate",
    "log",
    "netflow-sampler",
    "pause",
    "redirect",
    "trust",
];

impl Parser<'_> {
    /// An action of a class.
    pub(super) fn action(
        &mut self,
        words: &mut Words,
        policy: Name,
        class: Name,
    ) -> Result<(), TextError> {
        if words.sees("police") {
            self.once(words, &policy, &class, "police")?;
            words.take("police");
            let police = OpenPolice::read(words)?;
            return self.put_police(words, policy, class, police);
        }
        if words.sees("service-policy") {
            self.once(words, &policy, &class, "service-policy")?;
            words.take("service-policy");
            let child = words.parsed("the name of a policy map")?;
            self.actions(words, &policy, &class)?.child = Some(child);
        } else if words.take("set") {
            let before = words.clone();
            let mark = set::mark(words)?;
            self.once(&before, &policy, &class, mark.command())?;
            let marks = &mut self.actions(words, &policy, &class)?.marks;
            marks.retain(|own| own.command() != mark.command());
            marks.push(mark);
        } else if let Some(keyword) = queueing::keyword(words) {
            if let Some(once) = keyword {
                self.once(words, &policy, &class, once)?;
            }
            queueing::line(words, &mut self.actions(words, &policy, &class)?.queueing)?;
        } else if words.peek().is_some_and(|word| OTHER_ACTIONS.iter().any(|name| word.is(name))) {
            return Err(words.not_supported());
        } else {
            return Err(unknown(words));
        }
        self.mode = Mode::Actions(policy, class);
        Ok(())
    }

    pub(super) fn put_police(
        &mut self,
        words: &Words,
        policy: Name,
        class: Name,
        police: OpenPolice,
    ) -> Result<(), TextError> {
        self.actions(words, &policy, &class)?.police = Some(police.police());
        self.mode = Mode::Police(policy, class, police);
        Ok(())
    }

    fn actions(
        &mut self,
        words: &Words,
        policy: &Name,
        class: &Name,
    ) -> Result<&mut Actions, TextError> {
        let map = self.policies.policy_mut(policy).ok_or_else(|| unknown(words))?;
        Ok(map.open(class))
    }

    /// Makes sure that the text says this of a class only once.
    fn once(
        &mut self,
        words: &Words,
        policy: &Name,
        class: &Name,
        what: &'static str,
    ) -> Result<(), TextError> {
        if self.given.insert((policy.clone(), class.clone(), what)) {
            return Ok(());
        }
        Err(words.error(What::Twice(what.into())))
    }
}
