"""Adoption: whether a delivery is believed, above all one that is the first word of a request.

fal signs for all of its customers, so whoever has learned a webhook URL of ours can have a delivery signed for it. But
nobody can choose a request's id: a delivery about the request that we know is of an account of ours.
"""

from shared.app import App
from shared.deliveries import Delivery
from shared.errors import InvalidDeliveryError, UnknownRequestError
from shared.jobs import Job, Request


def is_about(delivery: Delivery, job: Job) -> bool:
    """Whether a delivery may be about the job's attempt: about its request, or about one where none is known yet."""
    may_be = job.request is None or job.claim or job.request.request_id == delivery.request_id
    return bool(may_be) and job.attempt == delivery.target.attempt


def is_awaited(app: App, delivery: Delivery) -> bool:
    """Whether a job of ours has had no word yet of the attempt that a delivery is about.

    Then it is no copy of one that was taken, however old it is: fal may not re-sign its later tries.
    """
    if delivery.target in app.answered:
        return False
    job = app.jobs.get(delivery.target.job_id)
    if job is not None and not job.status.is_settled and (job.request is None or job.claim) and is_about(delivery, job):
        return True
    # That stays so, and copies need not be looked up.
    app.answered.add(delivery.target)
    return False


def check_account(app: App, delivery: Delivery, job: Job) -> None:
    """Make sure that a delivery about a job's attempt is of an account whose requests are ours, and learn it.

    Raises:
        InvalidDeliveryError: it is another account's.
        UnreadableError: no account is known yet, and fal cannot be asked now whether the request is one of our key's.
        AwsUnavailableError: the table does not say which accounts are known.
    """
    if app.settings.fal_user_id:
        return  # The verifier takes no other's.
    if (job.request is None or job.claim) and not is_of_ours(app, delivery):
        raise InvalidDeliveryError("the delivery is of another account")
    app.accounts.learn(delivery.user_id)


def is_of_ours(app: App, delivery: Delivery) -> bool:
    """Whether a delivery is of an account of ours; while none is known, whether fal has its request for our key.

    Raises:
        UnreadableError: fal cannot be asked now.
        AwsUnavailableError: the table does not say which accounts are known.
    """
    if app.settings.fal_user_id:
        return True  # The verifier takes no other's.
    is_ours = app.accounts.is_ours(delivery.user_id)
    if is_ours is None:
        try:
            app.fal.status(Request(request_id=delivery.request_id))
        except UnknownRequestError:
            return False
    return is_ours is not False
