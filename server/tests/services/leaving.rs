//! Leaving, being removed, being revoked: proposals wait in the log until a commit carries them out.

use cercle_server::delivery::{Application, CommitRequest, Error};
use cercle_storage::store::Kind;
use openmls_traits::OpenMlsProvider as _;

use super::world::{DAY_MS, Hub, Plan, id_of, leaf_of, new_id};

#[tokio::test]
async fn who_leaves_is_taken_out_by_the_next_commit_of_any_member() {
    let hub = Hub::new();
    let (anne, bruno, chloe) = (hub.enrol("anne").await, hub.enrol("bruno").await, hub.enrol("chloe").await);
    let mut annes = hub.new_group(&anne).await;
    let mut others = hub.add(&anne, &mut annes, &[&bruno, &chloe]).await;
    let (mut chloes, mut brunos) = (others.pop().unwrap(), others.pop().unwrap());
    let group = id_of(&annes);
    let late = chloe.encrypt(&mut chloes, "encore là ?");
    let mls = chloe.propose_leaving(&mut chloes);
    let accepted = hub.delivery.send_proposal(&chloe.identity, group, new_id(), mls, hub.now).await.unwrap();
    let proposal = hub.log(group).await.pop().unwrap();
    assert_eq!((proposal.kind, proposal.seq), (Kind::Proposal, accepted.seq));

    let without = hub.accept(&bruno, &mut brunos, Plan::default()).await;
    assert!(matches!(without, Err(Error::ProposalsPending)), "{without:?}");
    bruno.process(&mut brunos, &proposal);
    let accepted = hub.accept(&bruno, &mut brunos, Plan::default()).await.unwrap();
    assert_eq!(hub.members(group).await.len(), 2);

    let refused = hub
        .delivery
        .send_application(&chloe.identity, group, Application::new(new_id(), late), hub.now)
        .await;
    assert!(matches!(refused, Err(Error::NotMember)), "{refused:?}");
    let listed = hub.delivery.list_groups(&chloe.identity).await.unwrap();
    assert_eq!(listed[0].entry.removed_at, Some(accepted.seq));
    hub.delivery.acknowledge(&chloe.identity, &[(group, accepted.seq)], 0).await.unwrap();
    assert!(hub.delivery.list_groups(&chloe.identity).await.unwrap().is_empty());
    let refused = hub.delivery.delivery_status(&chloe.identity, group).await;
    assert!(matches!(refused, Err(Error::GroupUnknown)), "{refused:?}");
}

#[tokio::test]
async fn a_repeated_proposal_is_one_entry() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let mut annes = hub.new_group(&anne).await;
    let mut brunos = hub.add(&anne, &mut annes, &[&bruno]).await.remove(0);
    let (group, id) = (id_of(&annes), new_id());
    let mls = bruno.propose_leaving(&mut brunos);
    let send = || hub.delivery.send_proposal(&bruno.identity, group, id, mls.clone(), hub.now);
    let (first, again) = (send().await.unwrap(), send().await.unwrap());
    assert_eq!((first.seq, again.repeated), (again.seq, true));
    assert_eq!(hub.log(group).await.len(), 2);
}

#[tokio::test]
async fn a_member_proposes_nobodys_removal_but_his_own() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let mut annes = hub.new_group(&anne).await;
    let mut brunos = hub.add(&anne, &mut annes, &[&bruno]).await.remove(0);
    let leaf = leaf_of(&brunos, &anne);
    let (mls, _) = brunos.propose_remove_member(&bruno.provider, &bruno.signer, leaf).unwrap();
    let mls = super::world::bytes(&mls);
    let refused = hub.delivery.send_proposal(&bruno.identity, id_of(&annes), new_id(), mls, hub.now).await;
    assert!(matches!(refused, Err(Error::PolicyDenied(_))), "{refused:?}");
}

#[tokio::test]
async fn the_last_member_leaves_and_the_group_is_closed() {
    let hub = Hub::new();
    let (anne, tablet) = (hub.enrol("anne").await, hub.enrol("anne").await);
    let mut annes = hub.new_group(&anne).await;
    let group = id_of(&annes);
    let mls = anne.propose_leaving(&mut annes);
    let accepted = hub.delivery.send_proposal(&anne.identity, group, new_id(), mls, hub.now).await.unwrap();
    let listed = hub.delivery.list_groups(&anne.identity).await.unwrap();
    assert_eq!(listed[0].entry.removed_at, Some(accepted.seq));
    let refused = hub.delivery.group_info(&tablet.identity, group, hub.now).await;
    assert!(matches!(refused, Err(Error::GroupUnknown)), "{refused:?}");
    hub.delivery.acknowledge(&anne.identity, &[(group, accepted.seq)], 0).await.unwrap();
    assert!(hub.delivery.list_groups(&anne.identity).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_last_two_members_may_leave_at_the_same_time() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let mut annes = hub.new_group(&anne).await;
    let mut brunos = hub.add(&anne, &mut annes, &[&bruno]).await.remove(0);
    let group = id_of(&annes);
    for (member, groups) in [(&anne, &mut annes), (&bruno, &mut brunos)] {
        let mls = member.propose_leaving(groups);
        hub.delivery.send_proposal(&member.identity, group, new_id(), mls, hub.now).await.unwrap();
    }
    // Nobody can commit his own removal (RFC 9420 section 12.2), so it does not bind him.
    let annes_removal = hub.log(group).await[1].clone();
    brunos.clear_pending_proposals(bruno.provider.storage()).unwrap();
    bruno.process(&mut brunos, &annes_removal);
    hub.accept(&bruno, &mut brunos, Plan::default()).await.unwrap();
    assert_eq!(hub.members(group).await, [bruno.device()]);
    let mls = bruno.propose_leaving(&mut brunos);
    hub.delivery.send_proposal(&bruno.identity, group, new_id(), mls, hub.now).await.unwrap();
    assert!(hub.members(group).await.is_empty());
}

#[tokio::test]
async fn a_revoked_device_is_removed_by_the_next_commit_and_not_without() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let mut annes = hub.new_group(&anne).await;
    let mut brunos = hub.add(&anne, &mut annes, &[&bruno]).await.remove(0);
    let group = id_of(&annes);
    hub.auth.revoke_device(cercle_server::auth::Inviter::Operator, bruno.device(), hub.now).await.unwrap();
    hub.delivery.propose_removals(bruno.device(), hub.now).await.unwrap();
    hub.delivery.propose_removals(bruno.device(), hub.now).await.unwrap();
    let log = hub.log(group).await;
    assert_eq!(log.len(), 2, "proposed once in an epoch");
    assert_eq!((log[1].kind, log[1].sender), (Kind::Proposal, None));

    let refused = hub.accept(&bruno, &mut brunos, Plan::default()).await;
    assert!(matches!(refused, Err(Error::ProposalsPending | Error::DeviceRevoked)), "{refused:?}");
    let refused = hub.accept(&anne, &mut annes, Plan::default()).await;
    assert!(matches!(refused, Err(Error::ProposalsPending)), "{refused:?}");
    anne.process(&mut annes, &log[1]);
    hub.accept(&anne, &mut annes, Plan::default()).await.unwrap();
    assert_eq!(hub.members(group).await, [anne.device()]);
}

#[tokio::test]
async fn a_removal_is_proposed_again_after_a_commit_that_left_it_out() {
    let hub = Hub::new();
    let (anne, bruno, tablet) = (hub.enrol("anne").await, hub.enrol("bruno").await, hub.enrol("anne").await);
    let mut annes = hub.new_group(&anne).await;
    hub.add(&anne, &mut annes, &[&bruno]).await;
    let group = id_of(&annes);
    hub.store.revoke(bruno.device(), hub.now).await.unwrap();
    hub.delivery.housekeeping(hub.now).await.unwrap();
    assert_eq!(hub.log(group).await.len(), 2, "housekeeping proposes it too");
    let info = hub.delivery.group_info(&tablet.identity, group, hub.now).await.unwrap();
    let (mut tablets, request) = tablet.join_externally(&info);
    hub.delivery.commit(&tablet.identity, request, hub.now).await.unwrap();
    let log = hub.log(group).await;
    let again = log.last().unwrap();
    assert_eq!((again.kind, again.sender, again.epoch), (Kind::Proposal, None, 2));
    tablet.process(&mut tablets, again);
    hub.accept(&tablet, &mut tablets, Plan::default()).await.unwrap();
    assert_eq!(hub.members(group).await.len(), 2);
}

#[tokio::test]
async fn a_group_whose_last_member_is_revoked_is_closed() {
    let hub = Hub::new();
    let anne = hub.enrol("anne").await;
    let group = id_of(&hub.new_group(&anne).await);
    hub.store.revoke(anne.device(), hub.now).await.unwrap();
    hub.delivery.housekeeping(hub.now).await.unwrap();
    assert!(hub.members(group).await.is_empty());
    assert!(hub.store.revoked_members().await.unwrap().is_empty(), "nothing is left to propose");
}

#[tokio::test]
async fn a_device_does_not_escape_its_removal_by_committing() {
    let hub = Hub::new();
    let (anne, tablet) = (hub.enrol("anne").await, hub.enrol("anne").await);
    let mut annes = hub.new_group(&anne).await;
    let mut tablets = hub.add(&anne, &mut annes, &[&tablet]).await.remove(0);
    let leaf = leaf_of(&annes, &tablet);
    let (mls, _) = annes.propose_remove_member(&anne.provider, &anne.signer, leaf).unwrap();
    let mls = super::world::bytes(&mls);
    hub.delivery.send_proposal(&anne.identity, id_of(&annes), new_id(), mls, hub.now).await.unwrap();
    let refused = hub.accept(&tablet, &mut tablets, Plan::default()).await;
    assert!(matches!(refused, Err(Error::ProposalsPending)), "{refused:?}");
}

#[tokio::test]
async fn housekeeping_keeps_what_is_young_and_deletes_what_is_old() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let mut annes = hub.new_group(&anne).await;
    hub.add(&anne, &mut annes, &[&bruno]).await;
    let group = id_of(&annes);
    hub.send(&anne, &mut annes, "lisez-moi").await.unwrap();
    hub.delivery.housekeeping(hub.now + DAY_MS).await.unwrap();
    assert_eq!(hub.log(group).await.len(), 2);
    hub.delivery.housekeeping(hub.now + 31 * DAY_MS).await.unwrap();
    assert!(hub.log(group).await.is_empty());
}

#[tokio::test]
async fn a_removed_member_commits_nothing() {
    let hub = Hub::new();
    let (anne, bruno) = (hub.enrol("anne").await, hub.enrol("bruno").await);
    let mut annes = hub.new_group(&anne).await;
    let mut brunos = hub.add(&anne, &mut annes, &[&bruno]).await.remove(0);
    let late = bruno.commit(&mut brunos, Plan::default());
    let plan = Plan { remove: vec![leaf_of(&annes, &bruno)], ..Plan::default() };
    hub.accept(&anne, &mut annes, plan).await.unwrap();
    let refused = hub.delivery.commit(&bruno.identity, late.clone(), hub.now).await;
    assert!(matches!(refused, Err(Error::NotMember)), "{refused:?}");
    let stranger = hub.enrol("stranger").await;
    let request = CommitRequest { message_id: new_id(), ..late };
    let refused = hub.delivery.commit(&stranger.identity, request, hub.now).await;
    assert!(matches!(refused, Err(Error::GroupUnknown)), "{refused:?}");
}
