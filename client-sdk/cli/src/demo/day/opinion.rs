//! A general practitioner asks a dermatologist with a photo, whose position stays at home.

use std::path::Path;

use cercle_proto::id::{GroupId, MessageId};
use cercle_sdk::{
    core::BoardRow,
    error::Error,
    message::{
        Body, Document, Draft, Edit, Language, Reaction, Request, RequestId, Text, request::Purpose,
        transition::Action,
    },
    thread::{
        requests::State,
        view::{MessageView, Range},
    },
    transfer::AttachOptions,
};

use super::{
    floor::{Floor, claim},
    photo,
};
use crate::{
    demo::cast::{CAMILLE, GROUPS, INES, NADIA, PEOPLE, SKIN},
    failure::Failure,
    limits::PAGE_MESSAGES,
    records::demo::{Opinion, Photo},
};

/// Savoir-faire code of dermatology (`TRE_R38`).
const DERMATOLOGY: &str = "SM15";

pub(super) async fn play(floor: &mut Floor<'_>, data: &Path) -> Result<Opinion, Failure> {
    floor.stage().scene(&text!(
        "3. Une médecin généraliste demande un avis à une dermatologue, avec une photo";
        "3. A general practitioner asks a dermatologist, with a photo"
    ));
    let group = floor.group(SKIN).await?;
    let taken = photo::take(data)?;
    let upload = floor.people().client(CAMILLE).upload(group, taken.path.clone(), AttachOptions::default());
    let document = Box::pin(upload).await?;
    let id = floor.ask(CAMILLE, &[SKIN], question(document), None).await?;

    floor.act(NADIA, id, claim()).await?;
    let owner = floor.people().user(NADIA)?;
    let owned = |row: &BoardRow| row.owner.as_ref().is_some_and(|owned| owned.user == owner);
    floor.row(NADIA, id, owned).await?;
    let photo = receive(floor, id, &taken).await?;

    let text = "Aspect bénin, sans critère d'alerte. Protéger du soleil et revoir à trois mois.".to_owned();
    floor.act(NADIA, id, Action::Answer { text, documents: Vec::new() }).await?;
    let row = floor.row(CAMILLE, id, |row| row.state == State::Answered).await?;
    floor.row(INES, id, |row| row.state == State::Answered).await?;
    let talk = thank(floor, group).await?;
    Ok(Opinion {
        request: id.to_hex(),
        state: row.state.name(),
        owner: PEOPLE[NADIA].id,
        photo,
        edited: talk.edited_at_ms.is_some(),
        text: talk.message.body.render(Language::French),
        reactions: talk.reactions.into_iter().map(|reaction| reaction.emoji).collect(),
    })
}

fn question(document: Document) -> Request {
    let purpose = Purpose::TeleExpertise {
        question: "Lésion pigmentée du dos, stable depuis six mois : surveillance ou exérèse ?".to_owned(),
        speciality: DERMATOLOGY.to_owned(),
    };
    // The SDK chooses the id when it posts the request.
    let mut request = Request::new(RequestId::new([0; 16]), purpose, "Avis sur une lésion du dos");
    request.documents.push(document);
    request
}

/// The dermatologist fetches the photo and looks at what is in it.
async fn receive(floor: &Floor<'_>, request: RequestId, taken: &photo::Taken) -> Result<Photo, Failure> {
    let client = floor.people().client(NADIA);
    let courses = client.request_history(request).await?;
    let document = courses.first().and_then(|course| course.request.documents.first()).cloned();
    let document = document.ok_or(Error::Invalid("the photo is missing"))?;
    let received = Box::pin(client.download_bytes(&document, photo::BYTES_MAX)).await?;
    let seen = Photo {
        bytes_taken: taken.bytes.len(),
        bytes_received: received.len(),
        position_taken: photo::has_position(&taken.bytes),
        position_received: photo::has_position(&received),
        same_picture: photo::is_same_picture(&taken.bytes, &received),
    };
    let (bytes, name) = (seen.bytes_received, PEOPLE[NADIA].name);
    floor.stage().note(&match seen.position_received {
        false => text!(
            "photo déchiffrée chez {name} ({bytes} octets) : la position GPS de l'appareil n'y est plus";
            "photo decrypted by {name} ({bytes} bytes): the GPS position of the camera is gone"
        ),
        true => text!(
            "photo déchiffrée chez {name} ({bytes} octets), avec sa position GPS";
            "photo decrypted by {name} ({bytes} bytes), with its GPS position"
        ),
    });
    floor.stage().pause().await;
    Ok(seen)
}

/// A word of thanks with a slip, a reaction, and the edit; as a third member sees it in the end.
async fn thank(floor: &mut Floor<'_>, group: GroupId) -> Result<MessageView, Failure> {
    let slip = "Merci Nadia, je revois le patient dans trois semaines.";
    let message = floor.say(group, SKIN, CAMILLE, slip).await?;
    let reaction = Reaction { message, emoji: "👍".to_owned(), removed: false };
    floor.post(group, SKIN, NADIA, Draft::from(Body::Reaction(reaction))).await?;
    let text =
        Text { text: "Merci Nadia, je revois le patient dans trois mois.".to_owned(), mentions: Vec::new() };
    let edit = Body::Edit(Edit { message, text });
    floor.post(group, SKIN, CAMILLE, Draft::from(edit)).await?;
    let view = seen_by_a_third(floor, group, message).await?;
    let (name, title) = (PEOPLE[INES].name, GROUPS[SKIN].title);
    let text = view.message.body.render(Language::French);
    let signs: Vec<&str> = view.reactions.iter().map(|reaction| reaction.emoji.as_str()).collect();
    let signs = signs.join(" ");
    floor.stage().note(&text!(
        "{name} lit dans « {title} » : {text} (modifié) {signs}";
        "{name} reads in \"{title}\": {text} (edited) {signs}"
    ));
    Ok(view)
}

async fn seen_by_a_third(
    floor: &Floor<'_>,
    group: GroupId,
    message: MessageId,
) -> Result<MessageView, Failure> {
    let thread = floor.people().client(INES).thread(group, Range::newest(PAGE_MESSAGES)).await?;
    let found = thread.messages.into_iter().find(|view| view.message.id == message);
    Ok(found.ok_or(Error::Invalid("the edited message is missing"))?)
}
