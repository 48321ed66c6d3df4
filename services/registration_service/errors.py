"""What the registration service refuses, beside the refusals in shared/errors.py.

Problem
|- RegisteredElsewhere   409  the image is registered under another exam
|- UidInUse              409  the SOP Instance UID is registered with another study, series or stored file
|- EventOnItsWay         503  the instance is stored, but its event has not arrived here yet
|- DeadLettersBusy       503  somebody else reads the dead letters at this moment
|- DeadLetterUnknown     404  no such dead letter, or no more
|- NothingKnownYet       404  nothing is known of the instance so far
`- NotInternal           401  an internal route without the service token

Messages have no status: Hopeless becomes a dead letter, NotYet is tried again (settling.py).
"""

from shared.errors import DependencyAway, InstanceUnknown, Problem, Unauthenticated


class RegisteredElsewhere(Problem):
    status, code, title = 409, "registered-elsewhere", "Registered under another exam"
    en = "This image is registered under another exam, and the first one holds; have it moved if that is wrong."
    fr = "Cette image est enregistrée sous un autre examen, et le premier vaut ; faites-la déplacer au besoin."


class UidInUse(Problem):
    status, code, title = 409, "sop-uid-in-use", "SOP Instance UID in use"
    en = "This SOP Instance UID is registered already with other values for {fields}; check which image is meant."
    fr = "Ce SOP Instance UID est déjà enregistré avec d'autres valeurs pour {fields} ; vérifiez l'image visée."


class EventOnItsWay(DependencyAway):
    code = "event-on-its-way"
    retry_after = 1
    en = "The image is stored, but its arrival is not known here yet; repeat the request in a second."
    fr = "L'image est stockée, mais son arrivée n'est pas encore connue ici ; répétez la requête dans une seconde."


class DeadLettersBusy(DependencyAway):
    code = "dead-letters-busy"
    en = "Somebody else is reading the dead letters at this moment; nothing was changed, repeat it in a few seconds."
    fr = "Quelqu'un d'autre lit les messages morts en ce moment ; rien n'a été modifié, répétez dans quelques secondes."


class DeadLetterUnknown(Problem):
    status, code, title = 404, "dead-letter-unknown", "Dead letter unknown"
    en = "There is no such dead letter; it may have been replayed or dropped meanwhile, list them again."
    fr = "Ce message mort n'existe pas ; il a pu être rejoué ou supprimé entre-temps, affichez de nouveau la liste."


class NothingKnownYet(InstanceUnknown):
    retry_after = 1


class NotInternal(Unauthenticated):
    status, code, title = 401, "not-internal", "Not an internal caller"
    en = "This address is for Examflow's own services; it needs the service token."
    fr = "Cette adresse est réservée aux services d'Examflow ; elle exige le jeton de service."


class Hopeless(Exception):
    """A message that no attempt will ever make good: malformed, or forbidden. Says why, without a value."""


class NotYet(Exception):
    """A message whose time has not come: it is tried again, and dead when its attempts are used up. Says why."""
