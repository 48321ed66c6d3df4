"""What operators are refused.

Problem
|- NotInLedger          404  nothing is known of the image here; says what Orthanc knows
|- QueueUnknown         404  no such queue to pause
|- SeveralImages        409  the id means several stored images
|- AlreadyRegistered    409  the image has an exam already: it is moved, not assigned
|- NotAssignable        409  the image's state leaves nothing to assign
`- NotRegistered        409  the image has no record that could be moved or unlinked
"""

from shared.errors import Problem


class NotInLedger(Problem):
    status, code, title = 404, "not-in-ledger", "Not in the ledger"
    en = "Nothing is known here of an image with this id: {where_en}."
    fr = "Rien n'est connu ici d'une image portant cet identifiant : {where_fr}."


class QueueUnknown(Problem):
    status, code, title = 404, "queue-unknown", "Queue unknown"
    en = "There is no such queue to pause; there are: {queues}."
    fr = "Il n'y a pas de telle file à suspendre ; il y a : {queues}."


class SeveralImages(Problem):
    status, code, title = 409, "several-images", "Several images"
    en = "Several stored images have this id ({images}); name one of them by its Orthanc id."
    fr = "Plusieurs images stockées portent cet identifiant ({images}) ; désignez-en une par son identifiant Orthanc."


class AlreadyRegistered(Problem):
    status, code, title = 409, "already-registered", "Already registered"
    en = (
        "The image is registered under exam {exam}, and nothing was changed; if that is wrong, move it: "
        '"examflow images move {image} --exam {wanted} --reason ...".'
    )
    fr = (
        "L'image est enregistrée sous l'examen {exam}, rien n'a été modifié ; si c'est une erreur, déplacez-la : "
        "« examflow images move {image} --exam {wanted} --reason ... »."
    )


class NotAssignable(Problem):
    status, code, title = 409, "not-assignable", "Not assignable"
    en = 'The image stays {state} ({reason}), and nothing was changed; see "examflow timeline {image}".'
    fr = "L'image reste {state} ({reason}), rien n'a été modifié ; voyez « examflow timeline {image} »."


class NotRegistered(Problem):
    status, code, title = 409, "not-registered", "Not registered"
    en = 'The image has no record that could be moved or unlinked: it is {state}; see "examflow timeline {image}".'
    fr = "L'image n'a pas d'enregistrement à déplacer ou à délier : {state} ; voyez « examflow timeline {image} »."
