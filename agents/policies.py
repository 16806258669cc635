"""Which policy applies: by tenant and kind of content for new plans, by reference for segments in flight."""

from collections.abc import Mapping

from agents.settings import PoliciesSettings
from models.exceptions import PolicyError, PolicyUnknown
from models.policies import load_policies, newest, unique
from models.policy import DEFAULT_POLICY, Policy
from schemas.media import ContentType


class PolicyBook:
    """All policies that this fleet has, and who uses which."""

    def __init__(
        self,
        policies: tuple[Policy, ...],
        default: str = DEFAULT_POLICY.name,
        tenants: Mapping[str, str | Mapping[ContentType, str]] | None = None,
    ) -> None:
        """Keep policies, several versions of a name among them.

        Args:
            policies: no two of the same name and version.
            default: name of the policy of tenants that have none of their own.
            tenants: name of a tenant's policy, or names by kind of content; kinds left out have the default.

        Raises:
            PolicyError: a name of which there is no policy, or two policies of one name and version.
        """
        self.policies = unique(policies)
        self._by_reference = {policy.reference: policy for policy in policies}
        self._newest = newest(policies)
        self._default = self._named(default, "policies.default")
        self._tenants: dict[str, Mapping[ContentType, Policy]] = {}
        for tenant, chosen in (tenants or {}).items():
            by_kind = dict.fromkeys(ContentType, chosen) if isinstance(chosen, str) else chosen
            self._tenants[tenant] = {
                kind: self._named(name, f"policies.tenants.{tenant}.{kind}") for kind, name in by_kind.items()
            }

    def for_content(self, tenant: str, content_type: ContentType | None) -> Policy:
        """Return the newest version of the policy that a tenant has for a kind of content.

        Args:
            tenant: whose content it is.
            content_type: none where the bytes could not be told: the tenant's policy if it has one for all kinds, else
                the default.
        """
        by_kind = self._tenants.get(tenant, {})
        if content_type is not None:
            return by_kind.get(content_type, self._default)
        chosen = list(by_kind.values())
        one_for_all = len(by_kind) == len(ContentType) and len({policy.reference for policy in chosen}) == 1
        return chosen[0] if one_for_all else self._default

    def for_stream(self, tenant: str, name: str | None = None) -> Policy:
        """Return the newest version of the policy that a stream asks for by name, else of its tenant's.

        Raises:
            PolicyUnknown: no policy has that name.
        """
        return self.for_content(tenant, ContentType.STREAM) if name is None else self.latest(name)

    def find(self, reference: str) -> Policy:
        """Return the policy of a reference, `name/version`.

        Raises:
            PolicyUnknown: this worker has none such.
        """
        policy = self._by_reference.get(reference)
        if policy is None:
            name, _, version = reference.partition("/")
            known = ", ".join(sorted(self._by_reference))
            raise PolicyUnknown(
                name,
                "version",
                f"this worker has no {version or 'such version'}, it has {known}; deploy it with the file of "
                f"`policies.file` that holds {reference}, then publish the dead letters again",
            )
        return policy

    def latest(self, name: str) -> Policy:
        """Return the newest version of a name.

        Raises:
            PolicyUnknown: there is none.
        """
        return self._named(name, "name")

    def users(self, name: str) -> tuple[str, ...]:
        """Return who uses a policy by settings: tenants, with the kind of content where only some is meant."""
        found = ["every other tenant"] if self._default.name == name else []
        for tenant, by_kind in self._tenants.items():
            used = [kind for kind, policy in by_kind.items() if policy.name == name]
            found += [tenant] if len(used) == len(ContentType) else [f"{tenant} ({kind})" for kind in used]
        return tuple(found)

    def _named(self, name: str, field: str) -> Policy:
        if name not in self._newest:
            raise PolicyUnknown(name, field, f"no policy has this name; there are {', '.join(sorted(self._newest))}")
        return self._newest[name]


def policy_book(settings: PoliciesSettings) -> PolicyBook:
    """Return the fleet's own policies and those of the settings.

    Raises:
        PolicyError: a file cannot be used, or a setting names a policy that does not exist.
    """
    policies = load_policies()
    if settings.file is not None:
        added = load_policies(settings.file)
        own = {policy.reference for policy in policies}
        for policy in added:
            if policy.reference in own:
                problem = f"{policy.version} is one of the fleet's own; give the changed one a higher version"
                raise PolicyError(policy.name, "version", problem)
        policies += added
    return PolicyBook(policies, settings.default, settings.tenants)
