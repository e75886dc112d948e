// Compiled, not run: the types that code generators make of the schema can be worked with.
import type { AgainQuery, ChangesSubscription, GroupPageQuery, GroupPageQueryVariables } from './generated';

export const variables: GroupPageQueryVariables = { guid: 'g', first: 10, asOf: '2026-01-09T09:17:00Z' };

export function texts(page: GroupPageQuery): string[] {
  const edges = page.group?.conversation.messages.edges ?? [];
  return edges.flatMap(({ node }) => node.text ?? []);
}

export function next(page: GroupPageQuery): string | null | undefined {
  const info = page.group?.conversation.messages.pageInfo;
  return info?.hasNextPage ? info.endCursor : undefined;
}

export function title({ node }: AgainQuery): string {
  switch (node?.__typename) {
    case 'Message':
      return node.text ?? node.messageId;
    case 'User':
      return node.name ?? node.uid;
    default:
      return node?.id ?? 'nothing';
  }
}

export const position = ({ changes }: ChangesSubscription): string => changes.seq;
